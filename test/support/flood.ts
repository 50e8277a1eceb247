// Starts the process that loads a server beside what a test measures.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Stage } from "./stage.ts";
import { within } from "./wait.ts";

const SCRIPT = fileURLToPath(new URL("flood-process.js", import.meta.url));

export interface Flood {
  /** Of the origin in the flooding process, for `--pipe`. */
  readonly target: string;
  /** Begins: `download` asks for 1 MiB again and again, `upload` sends one body without end. */
  start(load: FloodLoad): Promise<void>;
}

export interface FloodLoad {
  readonly kind: "download" | "upload";
  /** The server's public port. */
  readonly port: number;
  readonly hostname: string;
  readonly connections: number;
}

export async function createFlood(stage: Stage): Promise<Flood> {
  const child = spawn(process.execPath, [SCRIPT], { stdio: ["pipe", "pipe", "inherit"] });
  const gone = once(child, "close");
  stage.defer(() => {
    child.kill("SIGKILL");
    return gone;
  });
  const lines = createInterface({ input: child.stdout });
  const [port] = await within(once(lines, "line"), 10_000, "the flood's origin");
  return {
    target: `127.0.0.1:${port}`,
    async start(load) {
      const loading = once(lines, "line");
      child.stdin.write(`${JSON.stringify(load)}\n`);
      await within(loading, 10_000, "the flood");
    },
  };
}
