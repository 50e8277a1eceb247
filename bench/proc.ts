// Child processes of the benchmark and what /proc knows about them. Linux only. Every child is stopped by its own pid.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

/** The kernel's clock tick in /proc (USER_HZ), the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** How long a child has to end by itself before it is killed. */
const STOP_TIMEOUT_MS = 10_000;
/** How long a child has to say that it is ready. */
const READY_TIMEOUT_MS = 30_000;

/** Every child that runs. Whatever ends the benchmark, none of them stays behind. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(130));

export interface Child {
  readonly pid: number;
  /** Ends it: SIGINT, then SIGKILL after 10 s. Resolves when it is gone. */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly env?: Record<string, string>;
  /** Where stderr goes. @default "inherit" */
  readonly stderr?: "inherit" | "ignore";
}

/** Starts a program that needs no word from it. */
export function start(command: string, args: readonly string[], options: StartOptions = {}): Child {
  return childOf(spawnChild(command, args, options, "ignore"), command);
}

/**
 * Starts a program and waits for the JSON line on stdout whose `type` is `type`.
 *
 * @returns The child and that line. Rejects when the program ends or stays silent for 30 s.
 */
export async function startAndRead(
  command: string,
  args: readonly string[],
  type: string,
  options: StartOptions = {},
): Promise<{ child: Child; line: Record<string, unknown> }> {
  const process = spawnChild(command, args, options, "pipe");
  const child = childOf(process, command);
  let timer: NodeJS.Timeout | undefined;
  let last = "";
  try {
    const line = await new Promise<Record<string, unknown>>((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${command} ${args.join(" ")} ${why}: ${last}`));
      timer = setTimeout(() => fail(`did not say "${type}" in time`), READY_TIMEOUT_MS);
      process.once("close", (status) => fail(`ended with ${status}`));
      if (process.stdout === null) return;
      createInterface({ input: process.stdout }).on("line", (text) => {
        last = text;
        const value = parseLine(text);
        if (value?.["type"] === type) resolve(value);
      });
    });
    return { child, line };
  } catch (error) {
    await child.stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a program to its end and answers what it printed. Rejects when it fails. */
export async function runToEnd(command: string, args: readonly string[]): Promise<string> {
  const process = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  process.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  process.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const [status] = await once(process, "close");
  if (status !== 0) throw new Error(`${command} ended with ${String(status)}: ${errors}${output}`);
  return output;
}

/** CPU seconds, user and system, that a process has used so far, all threads. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name, in parentheses, may hold spaces: count the fields after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return Number(match?.[1] ?? Number.NaN) * 1024;
}

/** A port on loopback that was free a moment ago, for programs that cannot take port 0. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("A TCP listener has no port");
  return address.port;
}

function parseLine(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}

function spawnChild(
  command: string,
  args: readonly string[],
  { env, stderr = "inherit" }: StartOptions,
  stdout: "ignore" | "pipe",
): ChildProcess {
  return spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", stdout, stderr] });
}

function childOf(process: ChildProcess, command: string): Child {
  const { pid } = process;
  if (pid === undefined) throw new Error(`Cannot start ${command}`);
  running.add(process);
  const gone = new Promise<void>((resolve) => {
    process.once("exit", () => {
      running.delete(process);
      resolve();
    });
  });
  return {
    pid,
    async stop() {
      if (process.exitCode !== null || process.signalCode !== null) return;
      process.kill("SIGINT");
      const timer = setTimeout(() => process.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}
