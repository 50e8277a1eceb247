// The registry of a cluster: one key in Redis for each hostname, and every step on it a script, which is what makes it
// atomic. Remembers what was registered here, so that it can be put back when Redis has lost it.

import { setTimeout as delay } from "node:timers/promises";
import { asDuplexityError } from "../../protocol/index.ts";
import { type Clock, steadyClock } from "../clock.ts";
import type { RedisConnection } from "../redis/index.ts";
import { forEachAtMost } from "./at-most.ts";
import { FollowedNames } from "./followed-names.ts";
import { NodePorts } from "./node-ports.ts";
import { isSameRecord } from "./record-fields.ts";
import { Births } from "./redis-births.ts";
import { claimName } from "./redis-claims.ts";
import { Graces } from "./redis-graces.ts";
import { RedisIndex } from "./redis-index.ts";
import { RedisKeys } from "./redis-keys.ts";
import { RedisSteps, type Registered, type Renewal, type Sight } from "./redis-steps.ts";
import type { Holding, RegisterResult, Registration, Registry, RegistryRecord, RemoveReason } from "./registry.ts";
import { RouteNews } from "./route-news.ts";
import type { PortRange } from "./tcp-port-pool.ts";
import type { RoutesMessage, Topics } from "./topics.ts";

export interface RedisRegistryOptions {
  readonly connection: RedisConnection;
  /** Tells the other nodes of changes, and hears of theirs: the topic `routes` is the registry's. */
  readonly topics: Topics;
  /** Of all keys. @default "duplexity" */
  readonly prefix?: string;
  /** How long a registration holds without being renewed. @default 30_000 */
  readonly leaseMs?: number;
  /** How long a name stays its owner's after its client went. @default 86_400_000 */
  readonly graceMs?: number;
  /** The ports of each node; null: no TCP pipes. @default null */
  readonly tcpPorts?: PortRange | null;
  /** Told Redis's time, and when it was asked for (performance.now). @default nobody */
  readonly onTime?: (now: number, askedAt: number) => void;
  /** Whose time is taken instead of Redis's own, for tests. @default null */
  readonly clock?: Clock | null;
}

/** How often the indexes are told of all names that are held here, whatever became of them, and leases are swept. */
const TIDY_EVERY_MS = 300_000;
/** Batches that are renewed at once where there is no time to spread them over. */
const MAX_BATCHES = 100;
/** From one batch to the next where there is. */
const MAX_BATCH_PAUSE_MS = 100;
/** Names of a batch that are put back at once. */
const MAX_REVIVALS = 20;

/** What Redis says of a name that is renewed, and what was known of it. */
interface Renewed {
  readonly word: Renewal;
  readonly known: RegistryRecord | null;
  /** Redis's time. */
  readonly now: number;
}

export class RedisRegistry implements Registry {
  readonly #news: RouteNews;
  readonly #keys: RedisKeys;
  readonly #steps: RedisSteps;
  readonly #births: Births;
  readonly #index: RedisIndex;
  readonly #ports: NodePorts;
  readonly #followed: FollowedNames;
  readonly #graces: Graces;
  readonly #leaseMs: number;
  readonly #graceMs: number;
  readonly #endings: readonly (() => void)[];
  /** The highest epoch that was seen here, of whatever name: none that is given out here is lower. */
  #epochFloor = 0;
  /** When the indexes were told of all names. */
  #indexedAt = performance.now();
  /** Losses of Redis after which all was put back. */
  #healedLosses = 0;
  #healing: Promise<void> | null = null;
  #isLooking = false;

  constructor(options: RedisRegistryOptions) {
    const { connection, topics, prefix = "duplexity", clock = null } = options;
    const { leaseMs = 30_000, graceMs = 86_400_000 } = options;
    this.#leaseMs = leaseMs;
    this.#graceMs = graceMs;
    const keys = new RedisKeys(prefix);
    const common = { connection, keys, leaseMs, graceMs, now: () => (clock === null ? "" : String(clock.now())) };
    const steps = new RedisSteps(common);
    this.#keys = keys;
    this.#steps = steps;
    this.#births = new Births({ ...common, ...(options.onTime === undefined ? {} : { onTime: options.onTime }) });
    this.#index = new RedisIndex({
      ...{ ...common, refreshMs: TIDY_EVERY_MS },
      look: async (names) => (await steps.look(names)).map(({ record }) => record),
    });
    this.#ports = new NodePorts(options.tcpPorts ?? null);
    this.#followed = new FollowedNames({
      clock: clock ?? steadyClock,
      onDue: (hostnames) => void this.#lookAgain(hostnames),
    });
    this.#graces = new Graces({ graceMs, clock: clock ?? steadyClock });
    this.#news = new RouteNews(topics, (message) => this.#told(message));
    this.#endings = [
      () => this.#news.close(),
      topics.onGap(() => void this.heal()),
      connection.onReady(() => void this.heal()),
    ];
  }

  async register(registration: Registration): Promise<RegisterResult> {
    const { hostname } = registration;
    const tcpPort = await this.#beginPort(registration);
    try {
      const [steps, births, floor] = [this.#steps, this.#births, this.#epochFloor];
      const putBack = (): Promise<boolean> => this.#putBack(hostname);
      const claim = await claimName(registration, { steps, births, tcpPort, floor, putBack });
      if (claim.status === "taken") return claim;
      const { status, record, replaced } = claim;
      this.#keep(claim);
      this.#news.tell(hostname, record.epoch, record);
      // Whose it was has added it; should that have failed, it is added with all that is held here, `TIDY_EVERY_MS` later at most.
      if (replaced?.state !== "up") await this.#index.add([record]);
      return { status, record, replaced };
    } finally {
      this.#ports.end(hostname);
      this.#ports.settle(hostname, this.#followed.getOwn(hostname));
    }
  }

  async renewAll<T extends Holding>(held: readonly T[], spreadMs = 0): Promise<readonly T[]> {
    const lost = new Set<T>();
    const failures: unknown[] = [];
    // A primary of a Redis Cluster that does not answer keeps no name of the others from being renewed.
    const renew = (batch: readonly T[]): Promise<void> =>
      this.#renewBatch(batch, lost).catch((error: unknown) => void failures.push(error));
    const batches = this.#keys.batches(held);
    const pauseMs = Math.min(MAX_BATCH_PAUSE_MS, spreadMs / batches.length);
    const endsAt = performance.now() + spreadMs;
    let begun = 0;
    for (; begun < batches.length && failures.length === 0 && performance.now() < endsAt; begun += 1) {
      if (begun > 0) await delay(pauseMs, undefined, { ref: false });
      await renew(batches[begun] ?? []);
    }
    // Where one has failed, or each takes long, the others are not to wait for the end of each.
    await forEachAtMost(MAX_BATCHES, batches.slice(begun), renew);
    await this.#index.addMissed((hostname) => this.#followed.getOwn(hostname));
    if (performance.now() - this.#indexedAt >= TIDY_EVERY_MS) await mended(this.#tidy());
    // What is lost is told first: what fails will fail again.
    if (failures.length > 0 && lost.size === 0) throw failures[0];
    return held.filter((holding) => lost.has(holding));
  }

  async locate(hostname: string): Promise<RegistryRecord | null> {
    const [sight] = await this.#steps.look([hostname]);
    return sight === undefined ? null : this.#found(sight);
  }

  async remove(hostname: string, clientId: string, epoch: number, reason: RemoveReason): Promise<boolean> {
    const removed = await this.#steps.remove({ hostname, clientId, epoch }, reason);
    if (typeof removed === "string") return removed === "same";
    const { record, now } = removed;
    const own = this.#followed.getOwn(hostname);
    if (record === null) this.#followed.delete(hostname);
    else this.#followed.putOwn(record, record.expires - now);
    if (own?.epoch === epoch) this.#graces.put(own, record === null);
    this.#ports.settle(hostname, record);
    this.#news.tell(hostname, epoch, record);
    if (record === null && own !== null) await mended(this.#index.remove(own));
    return true;
  }

  list(ownerId: string | null, limit: number): Promise<readonly RegistryRecord[]> {
    return this.#index.list(ownerId, limit);
  }

  countBound(ownerId: string): Promise<number> {
    return this.#index.count(ownerId);
  }

  /** Also told of other nodes' changes, and of those that were missed while Redis or its messages could not be reached. */
  watch(listener: (hostname: string, record: RegistryRecord | null) => void): () => void {
    return this.#news.watch(listener);
  }

  /**
   * Looks whether Redis has lost what it knew, and if so puts back what is held here.
   *
   * @throws {DuplexityError} `DPX_STORE` if Redis does not answer.
   */
  async check(): Promise<void> {
    await this.#births.check();
    if (this.#births.losses > this.#healedLosses) await this.heal();
  }

  /** Renews what is held here, puts back what Redis has lost of it, and looks at all that is followed. Never rejects. */
  heal(): Promise<void> {
    this.#healing ??= this.#heal().finally(() => {
      this.#healing = null;
    });
    return this.#healing;
  }

  async close(): Promise<void> {
    for (const end of this.#endings) end();
    this.#followed.clear();
    this.#graces.clear();
  }

  /** A name that is up here and that Redis knows nothing of. */
  async #putBack(hostname: string): Promise<boolean> {
    const own = this.#followed.getOwn(hostname);
    if (own?.state !== "up") return false;
    const revived = await this.#steps.revive(own);
    if (revived !== null) this.#keep(revived);
    return revived !== null;
  }

  async #renewBatch<T extends Holding>(batch: readonly T[], lost: Set<T>): Promise<void> {
    const { now, words } = await this.#steps.renew(batch);
    // Registered over another node: from now on they are followed here.
    const unknown = batch.filter((holding) => this.#ownOf(holding) === null).map(({ hostname }) => hostname);
    const seen = new Map((await this.#steps.look(unknown)).map(({ hostname, record }) => [hostname, record]));
    await forEachAtMost(MAX_REVIVALS, batch, async (holding, index) => {
      const known = this.#ownOf(holding) ?? seen.get(holding.hostname) ?? null;
      if (!(await this.#renewed(holding, { word: words[index] ?? "lost", known, now }))) lost.add(holding);
    });
  }

  #ownOf({ hostname, clientId, epoch }: Holding): RegistryRecord | null {
    const own = this.#followed.getOwn(hostname);
    return own !== null && own.clientId === clientId && own.epoch === epoch ? own : null;
  }

  /** Answers whether the name is still its holder's. */
  async #renewed(holding: Holding, { word, known, now }: Renewed): Promise<boolean> {
    if (word === "lost") return false;
    if (word === "absent") {
      const own = this.#ownOf(holding);
      const revived = own === null ? null : await this.#steps.revive(own);
      if (revived === null) return false;
      this.#keep(revived);
      this.#news.tell(holding.hostname, holding.epoch, revived.record);
      return true;
    }
    if (known === null || known.epoch !== holding.epoch) return false;
    const renewed: RegistryRecord = { ...known, state: "up", expires: now + this.#leaseMs };
    this.#followed.putOwn(renewed, this.#leaseMs);
    if (word === "back") this.#news.tell(holding.hostname, holding.epoch, renewed);
    return true;
  }

  #keep({ record, now }: Registered): void {
    this.#epochFloor = Math.max(this.#epochFloor, record.epoch);
    this.#followed.putOwn(record, record.expires - now);
    this.#graces.delete(record.hostname);
  }

  /**
   * What Redis says of a name, unless it has lost it.
   *
   * @throws {DuplexityError} `DPX_STORE` while it may be held although Redis knows nothing of it.
   */
  async #found(sight: Sight): Promise<RegistryRecord | null> {
    const { hostname } = sight;
    if (sight.record === null && this.#followed.get(hostname)?.state === "up") {
      if (await this.#putBack(hostname)) return this.#followed.getOwn(hostname);
      // It was up a moment ago: that it is gone counts only if Redis still knows what it knew then.
      await this.#births.checkOpen(hostname);
    }
    this.#see(sight);
    return sight.record;
  }

  /** What Redis says of a name; whoever watches is told if that is news. */
  #see({ hostname, record, now }: Sight): void {
    const told = this.#followed.get(hostname);
    if (record === null) {
      this.#followed.delete(hostname);
      this.#ports.settle(hostname, null);
      if (told !== null) this.#news.notify(hostname, null);
      return;
    }
    // Redis has lost the newer one: its holder puts it back.
    if (told !== null && record.epoch < told.epoch) return;
    this.#epochFloor = Math.max(this.#epochFloor, record.epoch);
    this.#follow(record, record.expires - now);
    if (told !== null && !isSameRecord(told, record)) this.#news.notify(hostname, record);
  }

  /** Another node has changed a record. */
  #told({ hostname, epoch, record }: RoutesMessage): void {
    const known = this.#followed.get(hostname);
    if (known !== null && epoch < known.epoch) return;
    this.#epochFloor = Math.max(this.#epochFloor, epoch);
    if (record === null) this.#followed.delete(hostname);
    else if (known !== null) this.#follow(record, record.state === "up" ? this.#leaseMs : this.#graceMs);
    this.#ports.settle(hostname, record);
    this.#news.notify(hostname, record);
  }

  /** What was registered over this node and still leads to the same one stays its own. */
  #follow(record: RegistryRecord, inMs: number): void {
    const own = this.#followed.getOwn(record.hostname);
    if (own?.nodeId === record.nodeId) this.#followed.putOwn(record, inMs);
    else this.#followed.putSeen(record);
    this.#ports.settle(record.hostname, record);
  }

  async #lookAgain(hostnames: readonly string[]): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    // What fails is due again in a while.
    await mended(this.#lookAt(hostnames));
    this.#isLooking = false;
  }

  async #lookAt(hostnames: readonly string[]): Promise<void> {
    // One that may be held stays as it was; the others are not kept waiting.
    await forEachAtMost(MAX_REVIVALS, await this.#steps.look(hostnames), (sight) => mended(this.#found(sight)));
  }

  async #heal(): Promise<void> {
    // First: from then on no name is given out that Redis has lost.
    await mended(this.#births.check());
    const own = this.#followed.own().filter(({ state }) => state === "up");
    await mended(this.renewAll(own));
    await mended(this.#putBackGraces());
    await mended(this.#lookAt(this.#followed.hostnames()));
    await this.#indexAll();
  }

  async #tidy(): Promise<void> {
    await this.#indexAll();
    await this.#steps.sweep();
  }

  /** Only after a loss: what Redis still knows it knows better. */
  async #putBackGraces(): Promise<void> {
    const { losses } = this.#births;
    if (losses === this.#healedLosses) return;
    await this.#graces.putBack((grace) => this.#steps.reviveGrace(grace));
    this.#healedLosses = losses;
  }

  async #indexAll(): Promise<void> {
    this.#indexedAt = performance.now();
    await this.#index.add(this.#followed.own());
  }

  /** Tries once more when names that are gone may still have the ports. */
  async #beginPort(registration: Registration): Promise<number | null> {
    try {
      return this.#ports.begin(registration);
    } catch (error) {
      const holders = this.#ports.holdersOf(registration.nodeId);
      if (asDuplexityError(error).code !== "DPX_TCP_PORTS" || holders.length === 0) throw error;
      for (const { hostname, record } of await this.#steps.look(holders)) this.#ports.settle(hostname, record);
      return this.#ports.begin(registration);
    }
  }
}

/** Waits for what may fail: an index, a second look. Whatever it missed is made right in a later round. */
async function mended(work: Promise<unknown>): Promise<void> {
  await work.catch(() => {});
}
