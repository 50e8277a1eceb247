// Thousands of clients in a few processes of their own, and what they tell.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { IS_FULL } from "./bars.ts";
import { isObject } from "./lines.ts";
import type { Stage } from "./stage.ts";
import { forAtMost, poll } from "./wait.ts";

const SCRIPT = fileURLToPath(new URL("crowd-process.js", import.meta.url));
/**
 * Thousands of clients on the nodes' own machine: at the lowest priority they still keep what wakes up waiting for some ms at each
 * step, which clients that are elsewhere do not. Few of them beside other tests would starve: for those the
 * priority is enough.
 */
const IDLE = ["chrt", "--idle", "0"];
/** How long a process may take to say what it is at. */
const STATE_LIMIT_MS = 5_000;
/** A process takes no more clients: its own event loop must not be what is measured. */
const MAX_PER_PROCESS = 1_500;

export interface CrowdOptions {
  readonly server: string;
  readonly target: string;
  /** Names are this and a number. */
  readonly prefix: string;
  readonly count: number;
  readonly token?: string;
  /** @default 2 */
  readonly links?: 1 | 2;
  /** @default 180_000 */
  readonly limitMs?: number;
}

export interface CrowdNews {
  readonly type: string;
  readonly name: string;
  /** Unix time in ms. */
  readonly at: number;
  /** How long a client that is `reconnecting` waits before it dials. */
  readonly delayMs: number;
  readonly code: string;
}

export interface Crowd {
  /** All that they have told since they were up. */
  readonly news: CrowdNews[];
  readonly names: readonly string[];
  /** All of them go, with a goodbye each. */
  leave(): Promise<void>;
}

/** `count` clients, all of them up. */
export async function startCrowd(stage: Stage, options: CrowdOptions): Promise<Crowd> {
  const { server, target, prefix, count, token, links = 2, limitMs = 180_000 } = options;
  const processes = Math.max(2, Math.ceil(count / MAX_PER_PROCESS));
  const news: CrowdNews[] = [];
  let ready = 0;
  const names: string[] = [];
  const children = Array.from({ length: processes }, (_, index) => {
    const size = Math.floor((count + index) / processes);
    const own = `${prefix}-${index}-`;
    for (let number = 0; number < size; number += 1) names.push(`${own}${number}`);
    const args = [process.execPath, SCRIPT, server, target, own, String(size), String(links)];
    const [command = "", ...more] = IS_FULL ? [...IDLE, ...args] : args;
    const child = spawn(command, more, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PATH: process.env.PATH ?? "", ...(token === undefined ? {} : { DUPLEXITY_TOKEN: token }) },
    });
    const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
    stage.defer(() => {
      child.kill("SIGKILL");
      return gone;
    });
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line: unknown = JSON.parse(text);
      if (!isObject(line)) throw new Error(text);
      if (line.type === "ready") ready += 1;
      if (Array.isArray(line.news)) news.push(...line.news.filter(isObject).map(newsOf));
    });
    return { child, gone };
  });
  await poll(
    () => {
      const ended = children.find(({ child: { exitCode, signalCode } }) => (exitCode ?? signalCode) !== null)?.child;
      if (ended !== undefined) throw new Error(`A crowd's process ended: ${ended.exitCode ?? ended.signalCode}`);
      return ready === processes;
    },
    limitMs,
    `${count} clients`,
  ).catch(async (error: unknown) => {
    throw new Error(`${error}\n${(await Promise.all(children.map(({ child }) => stateOf(child)))).join("\n")}`);
  });
  return {
    ...{ news, names },
    async leave() {
      for (const { child } of children) child.stdin.end();
      await Promise.all(children.map(({ gone }) => gone));
    },
  };
}

/** What a process that does not come up is at: its own word (crowd-process.js), and the kernel's where it has none. */
async function stateOf(child: ChildProcess): Promise<string> {
  const { pid, stdout } = child;
  if (pid === undefined || stdout === null || (child.exitCode ?? child.signalCode) !== null)
    return "a process that is gone";
  const told = once(createInterface({ input: stdout }), "line").then(([line]) => String(line));
  child.kill("SIGUSR2");
  const own = await forAtMost(told, STATE_LIMIT_MS, "its word").catch(String);
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const states = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => "gone"));
  return [`process ${pid}: ${own}`, ...(await Promise.all(states))].join("\n").trim();
}

function newsOf(line: Record<string, unknown>): CrowdNews {
  return {
    ...{ type: String(line.type), name: String(line.name), at: Number(line.at) },
    ...{ delayMs: Number(line.delayMs ?? 0), code: String(line.code ?? "") },
  };
}
