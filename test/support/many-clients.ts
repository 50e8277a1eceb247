// Many clients of one process (many-clients.js), and what it tells of each of them.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isObject } from "./lines.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

const SCRIPT = fileURLToPath(new URL("./many-clients.js", import.meta.url));
/** A thousand of them one by one, on a machine that does ten things at once. */
const OPEN_MS = 120_000;

export interface ClientNews {
  /** `closed`: it was ended; `tried`: what became of it when it tried to come back. */
  readonly type: string;
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  /** Unix time in ms. */
  readonly at?: number;
  /** `up`, or the code of the refusal. */
  readonly result?: string;
}

export interface ManyClientsOptions {
  readonly server: string;
  readonly target: string;
  readonly token: string;
  /** Their names are this and a number from 0. */
  readonly prefix: string;
  readonly count: number;
}

/** Resolves when all are up, with what is told of them by type and name: `closed cat7`. It goes on being filled. */
export async function startManyClients(
  stage: Stage,
  options: ManyClientsOptions,
): Promise<ReadonlyMap<string, ClientNews>> {
  const { server, target, token, prefix, count } = options;
  const child = spawn(process.execPath, [SCRIPT, server, target, prefix, String(count)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { PATH: process.env.PATH ?? "", DUPLEXITY_TOKEN: token },
  });
  const gone = new Promise((resolve) => child.on("close", resolve));
  stage.defer(() => {
    child.kill("SIGKILL");
    return gone;
  });
  const news = new Map<string, ClientNews>();
  createInterface({ input: child.stdout }).on("line", (text) => {
    const line: unknown = JSON.parse(text);
    if (!isObject(line)) throw new Error(text);
    const told: ClientNews = { type: String(line.type), ...line };
    news.set(`${told.type} ${told.name ?? ""}`, told);
  });
  await poll(() => news.has("ready "), OPEN_MS, `${count} clients`);
  return news;
}
