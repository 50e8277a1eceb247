// The built command as a person runs it: real processes, their lines, their exit statuses. Never imports the product.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Line, type PipeLine, parseLine, pipesOf, textOf } from "./lines.ts";
import type { Stage } from "./stage.ts";
import { deferred, within } from "./wait.ts";

const COMMAND = fileURLToPath(new URL("../../bin/duplexity.js", import.meta.url));
/** `DUPLEXITY_TEST_NODE`: another Node than that of the tests. */
const NODE = process.env.DUPLEXITY_TEST_NODE ?? process.execPath;
/** A whole Node start on a busy machine. */
export const START_MS = 20_000;

export interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SpawnOptions {
  /** Added to a clean environment: only PATH, HOME and the two folders are passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whose settings and keys: two processes with the same home are the same person. Left out: a new person. */
  readonly home?: Home;
  /** Arguments for node itself. */
  readonly nodeArgs?: readonly string[];
}

/** Where one person's settings and running `up`s are. */
export interface Home {
  readonly configDir: string;
  readonly runtimeDir: string;
}

export async function createHome(stage: Stage): Promise<Home> {
  const folder = await stage.folder("home");
  return { configDir: join(folder, "config"), runtimeDir: join(folder, "run") };
}

/** One running command: what it printed so far, what it prints next, how it ends. */
export class DuplexityProcess {
  readonly args: readonly string[];
  readonly pid: number;
  readonly exit: Promise<Exit>;
  /** Everything that was printed. */
  stdout = "";
  stderr = "";
  /** Every line of stdout when `--json` was given. */
  readonly lines: Line[] = [];
  hasExited = false;
  readonly #child: ChildProcess;
  readonly #isJson: boolean;
  #rest = "";
  #read = 0;
  #failure: Error | null = null;
  #waiters: (() => void)[] = [];

  constructor(child: ChildProcess, args: readonly string[]) {
    if (child.pid === undefined || child.stdout === null || child.stderr === null) {
      throw new Error(`Cannot start duplexity ${args.join(" ")}`);
    }
    this.args = args;
    this.pid = child.pid;
    this.#child = child;
    this.#isJson = args.includes("--json");
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#onStdout(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    const { promise, resolve } = deferred<Exit>();
    this.exit = promise;
    child.on("close", (status, signal) => {
      this.hasExited = true;
      resolve({ status, signal });
      this.#wake();
    });
  }

  /**
   * The next line of `type` that was not given out yet; lines before it are passed over.
   *
   * @throws {Error} when the process ends or `limitMs` pass first, with all that it printed.
   */
  async nextLine(type: string, limitMs = START_MS): Promise<Line> {
    const found = this.#until(() => {
      while (this.#read < this.lines.length) {
        const line = this.lines[this.#read++];
        if (line?.type === type) return line;
      }
      return null;
    });
    return within(found, limitMs, `"${type}" of ${this.describe()}`).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : error}\n${this.printed()}`);
    });
  }

  /** Resolves when stdout or stderr contains `text`. */
  async untilPrinted(text: string, limitMs = START_MS): Promise<void> {
    await within(
      this.#until(() => (this.stdout.includes(text) || this.stderr.includes(text) ? true : null)),
      limitMs,
      `"${text}" from ${this.describe()}`,
    ).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : error}\n${this.printed()}`);
    });
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    if (!this.hasExited) this.#child.kill(signal);
  }

  /** The end of the process, bounded. */
  async exited(limitMs = START_MS): Promise<Exit> {
    return within(this.exit, limitMs, `the end of ${this.describe()}\n${this.printed()}`);
  }

  /** Kills it if it still runs, also when it is stopped, and waits for its end. */
  async end(): Promise<void> {
    this.kill("SIGKILL");
    await this.exited();
  }

  describe(): string {
    return `duplexity ${this.args.join(" ")}`;
  }

  printed(): string {
    return `--- ${this.describe()}\n--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`;
  }

  async #until<T>(look: () => T | null): Promise<T> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      const found = look();
      if (found !== null) return found;
      if (this.hasExited) throw new Error(`${this.describe()} ended before that`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #onStdout(text: string): void {
    this.stdout += text;
    if (this.#isJson) {
      const parts = (this.#rest + text).split("\n");
      this.#rest = parts.pop() ?? "";
      for (const part of parts) this.#onLine(part);
    }
    this.#wake();
  }

  #onLine(text: string): void {
    try {
      this.lines.push(parseLine(text));
    } catch (error) {
      this.#failure = new Error(`Cannot read "${text}" of ${this.describe()}`, { cause: error });
    }
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/** Starts `duplexity …args`; it is killed with the stage at the latest. */
export async function spawnDuplexity(
  stage: Stage,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<DuplexityProcess> {
  const home = options.home ?? (await createHome(stage));
  const child = spawn(NODE, [...(options.nodeArgs ?? []), COMMAND, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH ?? "",
      HOME: home.configDir,
      DUPLEXITY_CONFIG_DIR: home.configDir,
      DUPLEXITY_RUNTIME_DIR: home.runtimeDir,
      ...options.env,
    },
  });
  const running = new DuplexityProcess(child, args);
  stage.defer(() => running.end());
  return running;
}

/** Runs a command that ends by itself. */
export async function runDuplexity(
  stage: Stage,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<DuplexityProcess & Exit> {
  const running = await spawnDuplexity(stage, args, options);
  const exit = await running.exited(30_000);
  return Object.assign(running, exit);
}

export interface RunningServer {
  readonly process: DuplexityProcess;
  readonly port: number;
  readonly internalPort: number;
  readonly domain: string;
  /** For `--server`. */
  readonly url: string;
}

export interface ServerOptions extends SpawnOptions {
  readonly args?: readonly string[];
  /** Instead of `--no-auth`. */
  readonly identity?: readonly string[];
  /** @default 0 */
  readonly port?: number;
  readonly internalPort?: number;
}

/** `serve` on free loopback ports, listening. */
export async function startServer(stage: Stage, options: ServerOptions = {}): Promise<RunningServer> {
  const process = await spawnDuplexity(
    stage,
    [
      "serve",
      "--json",
      ...(options.identity ?? ["--no-auth"]),
      ...["--listen", `127.0.0.1:${options.port ?? 0}`],
      ...["--internal-listen", `127.0.0.1:${options.internalPort ?? 0}`],
      ...(options.args ?? []),
    ],
    options,
  );
  const line = await process.nextLine("listening");
  const port = portOf(textOf(line, "public"));
  const internalPort = portOf(textOf(line, "internal"));
  // With --public-url the line tells that; what it listens on is then known from the options only.
  const listenPort = options.port !== undefined && options.port !== 0 ? options.port : port;
  return {
    process,
    port: listenPort,
    internalPort,
    domain: textOf(line, "domain"),
    url: `http://127.0.0.1:${listenPort}`,
  };
}

export interface RunningUp {
  readonly process: DuplexityProcess;
  readonly pipes: readonly PipeLine[];
  readonly clientId: string;
}

export interface UpOptions extends SpawnOptions {
  readonly args?: readonly string[];
}

/** `up --json` for `pipes` (`cat1:localhost:9090`), ready. */
export async function startUp(
  stage: Stage,
  server: string,
  pipes: readonly string[],
  options: UpOptions = {},
): Promise<RunningUp> {
  const process = await spawnUp(stage, server, pipes, options);
  const line = await process.nextLine("ready");
  return { process, pipes: pipesOf(line), clientId: textOf(line, "clientId") };
}

/** The same without waiting. */
export async function spawnUp(
  stage: Stage,
  server: string,
  pipes: readonly string[],
  options: UpOptions = {},
): Promise<DuplexityProcess> {
  const flags = pipes.flatMap((pipe) => ["--pipe", pipe]);
  return spawnDuplexity(stage, ["up", "--json", "--server", server, ...flags, ...(options.args ?? [])], options);
}

export function portOf(url: string): number {
  const port = Number(new URL(url).port);
  if (!Number.isInteger(port) || port === 0) throw new Error(`No port in ${url}`);
  return port;
}
