// Three nodes that are used a little for a long time while their wires are cut and clients come, go and are kicked; and
// what their processes hold meanwhile. Judges nothing.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type DuplexityProcess, startUp } from "./duplexity.ts";
import type { FaultProxy } from "./fault-proxy.ts";
import { type Figures, GrowthWatch } from "./growth.ts";
import { startHttpOrigin } from "./http-origin.ts";
import { INSPECT_ARGS, memoryAfterGc } from "./inspect.ts";
import { isObject } from "./lines.ts";
import { countDescriptors, cpuMs, residentMiB } from "./memory.ts";
import { readMetrics } from "./metrics.ts";
import { type Nodes, startNodes } from "./nodes.ts";
import { ADMIN_TOKEN } from "./people.ts";
import { redisCli } from "./redis.ts";
import { seededRandom } from "./seeded.ts";
import { SoakVisitors } from "./soak-visitors.ts";
import type { Stage } from "./stage.ts";
import { keepAliveAgent } from "./visitor.ts";
import { poll } from "./wait.ts";

export interface SoakPace {
  readonly seed: number;
  readonly cutEveryMs: number;
  readonly sampleEveryMs: number;
  /** A client comes or goes so often; every other one that goes is kicked. */
  readonly comeAndGoEveryMs: number;
  /** Twice this, and a link that is swallowed is found dead. */
  readonly heartbeatSeconds: number;
  /** What a client leaves at a hub that it does not come back to is kept for so long. */
  readonly resumeSeconds: number;
}

const STAYING = ["cat1", "cat2", "cat3"] as const;
/** Names of those that come and go: their records stay in Redis for the time of grace, so that they must not be new ones. */
const PASSING = Array.from({ length: 12 }, (_, index) => `dog${index}`);
const CLIENTS_SCRIPT = fileURLToPath(new URL("soak-clients.js", import.meta.url));
/** What clients and visitors leave behind when they go. */
const GAUGES = ["clients", "control_sockets", "links", "streams", "routes", "remote_sessions", "relays"] as const;
/** Of the passing clients so many are there, or one less. */
const PASSING_UP = 6;
const WIRES = ["clients", "peers", "store"] as const;
/** One cut in so many swallows instead: neither side hears of it. */
const SWALLOW_SHARE = 4;

export class SoakWorld {
  readonly watch = new GrowthWatch();
  readonly nodes: Nodes;
  readonly visitors: SoakVisitors;
  cuts = 0;
  kicks = 0;
  /** Because their node's way to Redis was cut at that moment, or there was nobody to kick. */
  refusedKicks = 0;
  /** Clients that have come besides those that stay. */
  arrivals = 0;
  readonly #pace: SoakPace;
  readonly #random: () => number;
  readonly #ups: readonly DuplexityProcess[];
  readonly #passing: PassingClients;
  readonly #ending = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();

  private constructor(
    parts: { nodes: Nodes; visitors: SoakVisitors; ups: readonly DuplexityProcess[]; passing: PassingClients },
    pace: SoakPace,
  ) {
    this.nodes = parts.nodes;
    this.visitors = parts.visitors;
    this.#ups = parts.ups;
    this.#passing = parts.passing;
    this.#pace = pace;
    this.#random = seededRandom(pace.seed);
  }

  static async start(stage: Stage, pace: SoakPace): Promise<SoakWorld> {
    const heartbeat = `${pace.heartbeatSeconds}s`;
    const args = [
      "--heartbeat-idle",
      heartbeat,
      "--heartbeat-timeout",
      heartbeat,
      "--resume-window",
      `${pace.resumeSeconds}s`,
      "--log-level",
      "warn",
    ];
    const nodes = await startNodes(stage, { hasWires: true, args, nodeArgs: INSPECT_ARGS });
    const origin = await startHttpOrigin(stage);
    const env = { DUPLEXITY_TOKEN: ADMIN_TOKEN };
    const ups: DuplexityProcess[] = [];
    for (const name of STAYING) {
      const up = await startUp(stage, nodes.url, [`${name}:${origin.target}`], { env, nodeArgs: INSPECT_ARGS });
      ups.push(up.process);
    }
    const visitors = new SoakVisitors({
      origin,
      agent: keepAliveAgent(stage, 8),
      random: seededRandom(pace.seed + 1),
      ports: () => [nodes.port, ...nodes.servers.map(({ port }) => port)],
      hostnames: STAYING.map((name) => `${name}.localhost`),
      maxStayMs: 3 * pace.cutEveryMs,
    });
    return new SoakWorld({ nodes, visitors, ups, passing: new PassingClients(stage, nodes.url, origin.target) }, pace);
  }

  /** Visitors, cuts, comings and goings and samples from now on. */
  begin(): void {
    this.visitors.begin();
    const { cutEveryMs, comeAndGoEveryMs, sampleEveryMs } = this.#pace;
    this.#loops = Promise.all([
      this.#every(cutEveryMs, () => this.#cut()),
      this.#every(comeAndGoEveryMs, () => this.#comeOrGo()),
      this.#every(sampleEveryMs, () => this.sample()),
    ]);
  }

  /** Rejects if one of the loops fails before `ms` have passed. */
  async last(ms: number): Promise<void> {
    await Promise.race([delay(ms), this.#loops]);
  }

  /** No more cuts, visitors or clients but those that stay. Resolves when all of them are gone. */
  async quiet(): Promise<void> {
    this.#ending.abort();
    await this.#loops;
    for (const { clients, peers, store } of this.nodes.wires) for (const wire of [clients, peers, store]) wire.heal();
    await this.visitors.stop();
    await this.#passing.leave();
  }

  /** What all processes hold now. */
  async sample(): Promise<void> {
    const atMs = performance.now();
    for (const [number, { process }] of this.nodes.servers.entries()) {
      this.watch.add(`node ${number}`, atMs, await memoryOf(process));
    }
    for (const [number, process] of this.#ups.entries()) this.watch.add(`up ${number}`, atMs, await memoryOf(process));
    this.watch.add("all nodes", atMs, await this.counted());
    this.watch.add("Redis", atMs, { keys: Number(await redisCli(this.nodes.redisPort, ["DBSIZE"])) });
  }

  /** What all nodes have open together: clients and sessions move from one to the other. */
  async counted(): Promise<Figures> {
    const sums: Record<string, number> = {};
    const add = (name: string, value: number): void => {
      sums[name] = (sums[name] ?? 0) + value;
    };
    for (const { process, internalPort } of this.nodes.servers) {
      const metrics = await readMetrics(internalPort);
      for (const name of GAUGES) add(name, metrics.get(`duplexity_${name}`) ?? Number.NaN);
      add("descriptors", await countDescriptors(process.pid));
      add("timers", (await memoryAfterGc(process)).resources.Timeout ?? 0);
    }
    return sums;
  }

  /** CPU time that all nodes and the clients that stay have used, in ms. */
  async cpuMs(): Promise<number> {
    const processes = [...this.nodes.servers.map(({ process }) => process), ...this.#ups];
    const times = await Promise.all(processes.map(({ pid }) => cpuMs(pid)));
    return times.reduce((sum, ms) => sum + ms, 0);
  }

  async #every(ms: number, act: () => void | Promise<void>): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await delay(ms, undefined, { signal }).catch(() => {});
      if (!signal.aborted) await act();
    }
  }

  #cut(): void {
    const wire = this.#oneOf(WIRES.flatMap((kind) => this.nodes.wires.map((wires): FaultProxy => wires[kind])));
    if (this.#random() * SWALLOW_SHARE < 1) wire?.blackhole();
    else wire?.cutAll();
    this.cuts += 1;
  }

  async #comeOrGo(): Promise<void> {
    const { up } = this.#passing;
    const away = PASSING.filter((name) => !up.has(name));
    if (up.size < PASSING_UP) {
      this.arrivals += 1;
      this.#passing.open(this.#oneOf(away) ?? "dog0");
      return;
    }
    const name = this.#oneOf([...up]) ?? "dog0";
    if (this.#random() < 0.5) this.#passing.close(name);
    else await this.#kick(name, Math.floor(this.#random() * this.nodes.servers.length));
  }

  async #kick(name: string, node: number): Promise<void> {
    try {
      await this.nodes.admin("/api/kick", { who: name }, node);
      this.kicks += 1;
    } catch (error) {
      // Without Redis, or when it has left meanwhile, a kick is refused, or has no answer in the time of a request.
      if (!/DPX_STORE|DPX_NOT_FOUND|fetch failed/.test(String(error))) throw error;
      this.refusedKicks += 1;
    }
  }

  #oneOf<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#random() * all.length)];
  }
}

async function memoryOf(process: DuplexityProcess): Promise<Figures> {
  const { heapMiB, externalMiB } = await memoryAfterGc(process);
  return { heapMiB, externalMiB, residentMiB: await residentMiB(process.pid) };
}

/** Clients in a process of their own. */
class PassingClients {
  readonly #child;
  /** Names of those that are up. */
  readonly up = new Set<string>();

  constructor(stage: Stage, server: string, target: string) {
    const child = spawn(process.execPath, [CLIENTS_SCRIPT, server, target], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PATH: process.env.PATH ?? "", DUPLEXITY_TOKEN: ADMIN_TOKEN },
    });
    this.#child = child;
    const gone = new Promise((resolve) => child.on("close", resolve));
    stage.defer(() => {
      child.kill("SIGKILL");
      return gone;
    });
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line: unknown = JSON.parse(text);
      if (!isObject(line)) throw new Error(text);
      if (line.type === "up") this.up.add(String(line.name));
      else this.up.delete(String(line.name));
    });
  }

  open(name: string): void {
    this.#child.stdin.write(`open ${name}\n`);
  }

  close(name: string): void {
    this.#child.stdin.write(`close ${name}\n`);
  }

  /** All of them say goodbye. */
  async leave(): Promise<void> {
    for (const name of this.up) this.close(name);
    await poll(() => this.up.size === 0, 30_000, "the passing clients to leave");
  }
}
