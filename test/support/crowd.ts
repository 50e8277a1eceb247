// Thousands of clients in a few processes of their own, and what they tell.

import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { createInterface, type Interface } from "node:readline";
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
/** How a process's line about those that are not up yet begins. */
const OPENING = '{"type":"opening"';
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
  /** What has happened to them since they were up, a fraction of a second late. */
  readonly news: readonly CrowdNews[];
  readonly names: readonly string[];
  /** Until `news` has all that has happened by now. */
  untilTold(): Promise<void>;
  /** All of them go, with a goodbye each. */
  leave(): Promise<void>;
}

interface CrowdProcess {
  readonly child: ChildProcess;
  readonly lines: Interface;
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
    const lines = createInterface({ input: child.stdout }).on("line", (text) => {
      const line: unknown = JSON.parse(text);
      if (!isObject(line)) throw new Error(text);
      if (line.type === "ready") ready += 1;
      if (Array.isArray(line.news)) news.push(...line.news.filter(isObject).map(newsOf));
    });
    return { child, lines, gone };
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
    throw new Error(`${error}\n${(await Promise.all(children.map(stateOf))).join("\n")}`);
  });
  return {
    ...{ news, names },
    async untilTold() {
      await Promise.all(children.map(openingOf));
    },
    async leave() {
      for (const { child } of children) child.stdin.end();
      await Promise.all(children.map(({ gone }) => gone));
    },
  };
}

/** What a process that does not come up is at: its own word (crowd-process.js), and the kernel's where it has none. */
async function stateOf(running: CrowdProcess): Promise<string> {
  const { child } = running;
  const { pid } = child;
  if (pid === undefined || (child.exitCode ?? child.signalCode) !== null) return "a process that is gone";
  const own = await openingOf(running).catch(String);
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const states = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => "gone"));
  return [`process ${pid}: ${own}`, ...(await Promise.all(states))].join("\n").trim();
}

/** Its line about those that are not up yet: by then it has told all its news. */
async function openingOf({ child, lines }: CrowdProcess): Promise<string> {
  let hear: (text: string) => void = () => {};
  const told = new Promise<string>((resolve) => {
    hear = (text) => {
      if (text.startsWith(OPENING)) resolve(text);
    };
  });
  lines.on("line", hear);
  child.kill("SIGUSR2");
  try {
    return await forAtMost(told, STATE_LIMIT_MS, "the word of a crowd's process");
  } finally {
    lines.off("line", hear);
  }
}

function newsOf(line: Record<string, unknown>): CrowdNews {
  return {
    ...{ type: String(line.type), name: String(line.name), at: Number(line.at) },
    ...{ delayMs: Number(line.delayMs ?? 0), code: String(line.code ?? "") },
  };
}
