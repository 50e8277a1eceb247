// A cluster in which two owners hold and claim names, and what can be done to it. Judges nothing: that is fault-checker.ts.

import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type DuplexityProcess, spawnUp } from "./duplexity.ts";
import { FakeClock } from "./fake-clock.ts";
import { brokenBy, flushed, frozen, swallowed } from "./fault-acts.ts";
import { type ClaimNote, FaultChecker } from "./fault-checker.ts";
import type { Fault } from "./fault-plan.ts";
import { FaultVisitors } from "./fault-visitors.ts";
import { type Nodes, startNodes } from "./nodes.ts";
import { type RunningRedis, startRedisServer } from "./redis.ts";
import { closeWithSockets, listen } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

export const NAMES = ["cat1", "cat2", "cat3"] as const;
const OWNERS = ["ben", "eve"] as const;
/**
 * A registration holds for so long without being renewed. After that all has to be as before, also when the node that held
 * a name died together with Redis's records: then its client is refused for two thirds of it, and tries again within five
 * seconds.
 */
export const LEASE_MS = 30_000;
/** So that a swallowed connection is found out sooner than by default. */
const SERVER_ARGS = ["--heartbeat-idle", "2s", "--heartbeat-timeout", "2s"];
/** How far the nodes' clocks are from Redis's, in turn, and how far each jumps. */
const CLOCKS_S = [0, 600, -600] as const;
const JUMP_S = 600;
/** Longer than all schedules together. */
const LONGEST_MS = 3_600_000;
/** A client that is asked to go. */
const LEAVE_MS = 5_000;

interface WorldParts {
  readonly nodes: Nodes;
  /** Each owner's. */
  readonly tokens: ReadonlyMap<string, string>;
  readonly redisArgs: readonly string[];
  /** Each node's. */
  readonly clocks: readonly FakeClock[];
}

interface RunningClaim {
  readonly note: ClaimNote;
  readonly process: DuplexityProcess;
}

export class FaultWorld {
  readonly checker = new FaultChecker();
  readonly nodes: Nodes;
  readonly visitors: FaultVisitors;
  readonly #stage: Stage;
  /** Each owner's token. */
  readonly #tokens: ReadonlyMap<string, string>;
  /** Who was told to go: those who go by themselves are not among them. */
  readonly #sent = new Set<ClaimNote>();
  readonly #running = new Map<ClaimNote, RunningClaim>();
  /** What is broken already: nothing is broken twice at once. */
  readonly #broken = new Set<string>();
  readonly #redisArgs: readonly string[];
  readonly #clocks: readonly FakeClock[];
  #redis: RunningRedis;

  private constructor(stage: Stage, parts: WorldParts) {
    const { nodes, tokens, redisArgs, clocks } = parts;
    this.#redisArgs = redisArgs;
    this.#stage = stage;
    this.nodes = nodes;
    const { servers, proxies, port } = nodes;
    this.visitors = new FaultVisitors(this.checker, {
      ports: [...proxies.map((number) => servers[number]?.port ?? 0), port],
      names: NAMES,
    });
    this.#redis = nodes.redis;
    this.#tokens = tokens;
    this.#clocks = clocks;
  }

  /** @param roles Of each node, as for `startNodes`. */
  static async start(stage: Stage, roles: readonly string[]): Promise<FaultWorld> {
    // Accounts are kept over its death: without them, both owners would rightly be nobody.
    const redisArgs = ["--dir", await stage.folder("disk"), "--appendonly", "yes", "--appendfsync", "always"];
    const clocks = await Promise.all(roles.map((_own, number) => FakeClock.create(stage, clockOf(number))));
    const nodes = await startNodes(stage, { roles, hasWires: true, args: SERVER_ARGS, redisArgs, clocks });
    const tokens = new Map<string, string>();
    for (const name of OWNERS) {
      // Of one node: another one hears of the user a moment later.
      await nodes.admin("/api/users", { name }, 0);
      const { secret } = await nodes.admin("/api/tokens", { name: "ci", user: name }, 0);
      tokens.set(name, String(secret));
    }
    return new FaultWorld(stage, { nodes, tokens, redisArgs, clocks });
  }

  /** Until each name has a holder: by whichever owner gets it. */
  async settle(): Promise<void> {
    for (const [index, name] of NAMES.entries()) {
      let turn = index;
      await poll(
        async () => {
          if (this.checker.holderOf(name) !== null) return true;
          const claim = await this.claim(OWNERS[turn++ % OWNERS.length] ?? "ben", name);
          await this.decided(claim);
          return this.checker.holderOf(name) !== null;
        },
        2 * LEASE_MS,
        `a holder of ${name}\n${this.told()}`,
        500,
      );
    }
  }

  /** An `up` that wants `name`. */
  async claim(owner: string, name: string): Promise<RunningClaim> {
    const note = this.checker.claim(owner, name);
    const target = await this.#startTarget(note);
    const process = await spawnUp(this.#stage, this.nodes.url, [`${name}:${target}`], {
      env: { DUPLEXITY_TOKEN: this.#tokens.get(owner) ?? "" },
    });
    const claim = { note, process };
    this.#running.set(note, claim);
    void this.#listen(claim).catch(() => {});
    void process.exit.then(() => {
      note.leftAt ??= performance.now();
    });
    return claim;
  }

  /** Notes when it says that the name is its own, until it ends. */
  async #listen({ note, process }: RunningClaim): Promise<void> {
    await process.nextLine("ready", 2 * LEASE_MS);
    note.confirmedAt = performance.now();
    for (;;) {
      await process.nextLine("resumed", LONGEST_MS);
      note.resumedAt = performance.now();
    }
  }

  /** Until it has the name, or has ended. */
  async decided({ note, process }: RunningClaim): Promise<void> {
    await poll(
      () => note.confirmedAt !== null || process.hasExited,
      2 * LEASE_MS,
      `a word on ${note.name} for ${note.owner}\n${process.printed()}`,
    );
  }

  /** Every claim that was begun is decided. */
  async allDecided(): Promise<void> {
    for (const claim of this.#running.values()) await this.decided(claim);
  }

  /**
   * Clients that ended by themselves, though nobody else has had their name since: a newer one, or an older one of the same
   * owner that took it back.
   */
  deserters(): readonly string[] {
    const isHeir = (note: ClaimNote, other: ClaimNote): boolean =>
      other !== note &&
      other.name === note.name &&
      other.confirmedAt !== null &&
      (other.number > note.number || other.owner === note.owner);
    return [...this.#running.values()]
      .filter(({ note, process }) => process.hasExited && note.confirmedAt !== null && !this.#sent.has(note))
      .filter(({ note }) => !this.checker.claims.some((other) => isHeir(note, other)))
      .map(({ process }) => process.printed());
  }

  /** Breaks something and mends it again. What is broken already is left alone. */
  async apply(fault: Fault): Promise<void> {
    const what = brokenBy(fault);
    if (this.#broken.has(what)) return;
    this.#broken.add(what);
    try {
      await this.#apply(fault);
    } finally {
      this.#broken.delete(what);
    }
  }

  /** All that the clients have printed. */
  told(): string {
    return [...this.#running.values()]
      .map(({ note, process }) => `${note.owner}/${note.number} ${process.printed()}`)
      .join("\n");
  }

  async #apply({ kind, target, forMs }: Fault): Promise<void> {
    const wires = this.nodes.wires[target];
    const server = this.nodes.servers[target];
    switch (kind) {
      case "kill node":
        server?.process.kill("SIGKILL");
        await server?.process.exited();
        await delay(forMs);
        // Without Redis it waits for it.
        return this.nodes.restart(target);
      case "freeze node":
        return frozen((signal) => server?.process.kill(signal), forMs);
      case "clock ahead":
      case "clock behind":
        return this.#jump(target, kind === "clock ahead" ? JUMP_S : -JUMP_S, forMs);
      case "cut clients":
        wires?.clients.cutAll();
        return;
      case "cut peers":
        wires?.peers.cutAll();
        return;
      case "swallow clients":
        return swallowed(wires?.clients, forMs);
      case "swallow peers":
        return swallowed(wires?.peers, forMs);
      case "part node from store":
        return swallowed(wires?.store, forMs);
      case "freeze Redis":
        return frozen((signal) => this.#redis.signal(signal), forMs);
      case "kill Redis":
        await this.#redis.end();
        await delay(forMs);
        this.#redis = await startRedisServer(this.#stage, { port: this.nodes.redisPort, args: this.#redisArgs });
        return;
      case "flush Redis":
        return flushed(this.nodes.redisPort);
      default:
        return this.#applyToName(kind, NAMES[target] ?? "cat1", forMs);
    }
  }

  async #jump(target: number, byS: number, forMs: number): Promise<void> {
    const before = clockOf(target);
    await this.#clocks[target]?.set(before + byS);
    await delay(forMs);
    await this.#clocks[target]?.set(before);
  }

  async #applyToName(kind: string, name: string, forMs: number): Promise<void> {
    const note = this.checker.holderOf(name);
    const holder = note === null ? undefined : this.#running.get(note);
    const other = note?.owner === "ben" ? "eve" : "ben";
    if (kind === "freeze client") return frozen((signal) => holder?.process.kill(signal), forMs);
    if (kind === "take over") {
      await this.claim(note?.owner ?? "ben", name);
      return;
    }
    if (holder !== undefined && kind !== "claim") {
      this.#sent.add(holder.note);
      holder.note.leftAt = performance.now();
      holder.process.kill(kind === "kill client" ? "SIGKILL" : "SIGTERM");
      await Promise.race([holder.process.exit, delay(LEAVE_MS)]);
      holder.process.kill("SIGKILL");
      await holder.process.exited();
    }
    await this.claim(kind === "kill client" ? (note?.owner ?? "ben") : other, name);
  }

  /** A target of its own for each claim, so that an answer tells whose it is. */
  async #startTarget({ number }: ClaimNote): Promise<string> {
    const server = createServer((request, response) => {
      this.checker.reached(request.url ?? "");
      request.resume();
      response.end(String(number));
    });
    const port = await listen(server);
    closeWithSockets(this.#stage, server);
    return `127.0.0.1:${port}`;
  }
}

function clockOf(node: number): number {
  return CLOCKS_S[node % CLOCKS_S.length] ?? 0;
}
