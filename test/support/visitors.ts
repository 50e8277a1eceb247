// Visitors of one name that come at fixed times, in a process of their own, and how long each took.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { isObject } from "./lines.ts";
import type { Stage } from "./stage.ts";

const SCRIPT = fileURLToPath(new URL("visitors-process.js", import.meta.url));

export interface VisitorsOptions {
  /** The server's. */
  readonly port: number;
  readonly host: string;
  readonly everyMs: number;
}

export interface Visit {
  /** Unix time in ms at which it began. */
  readonly at: number;
  readonly ms: number;
}

export interface Visitors {
  /** What answers them: `host:port`. */
  readonly target: string;
  /** Those that were answered with 200. */
  readonly visits: readonly Visit[];
  /** What others ended with: a status or an error. */
  readonly failures: readonly string[];

  start(): void;
  stop(): Promise<void>;
}

/** They come from `start()` on. */
export async function startVisitors(stage: Stage, { port, host, everyMs }: VisitorsOptions): Promise<Visitors> {
  const child = spawn(process.execPath, [SCRIPT, String(port), host, String(everyMs)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const visits: Visit[] = [];
  const failures: string[] = [];
  const target = await new Promise<string>((resolve, reject) => {
    child.on("close", () => reject(new Error("The visitors' process has ended")));
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line: unknown = JSON.parse(text);
      if (!isObject(line)) throw new Error(text);
      if (line.type === "target") resolve(`127.0.0.1:${line.port}`);
      else if (line.result === "200") visits.push({ at: Number(line.at), ms: Number(line.ms) });
      else failures.push(String(line.result));
    });
    stage.defer(() => {
      child.kill("SIGKILL");
      return gone;
    });
  });
  return {
    ...{ target, visits, failures },
    start: () => void child.stdin.write("\n"),
    async stop() {
      child.stdin.end();
      await gone;
    },
  };
}

/** The 99th percentile of those that began in that time, in ms. */
export function p99(visits: readonly Visit[], from: number, to: number): number {
  const lasted = visits.filter(({ at }) => at >= from && at < to).map(({ ms }) => ms);
  return lasted.sort((one, other) => one - other)[Math.floor(lasted.length * 0.99)] ?? Number.NaN;
}
