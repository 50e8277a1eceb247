// The nodes of a cluster, as a board shows them on which each renews its own line. A node whose line is gone, or about
// which nobody answers, stays until its lease has ended by this node's own clock. While the board itself does not answer
// nodes stay as they were: what is live is served on. Knows no Redis.

import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import { isStranger, nodeLineOf, notJoined, readNodeLine } from "./node-line.ts";
import type { NodeRecord, Presence, PresenceChange } from "./presence.ts";

/** Where nodes say that they are there. */
export interface PresenceBoard {
  /**
   * Writes a node's line for a lease, and reads those of all.
   *
   * @param line Empty: the node goes.
   * @throws {DuplexityError} `DPX_STORE`
   */
  write(nodeId: string, line: string): Promise<BoardRead>;
}

export interface BoardRead {
  /** Lines of those that are there. */
  readonly there: readonly string[];
  /** Ids of those that said goodbye within a lease. */
  readonly left: readonly string[];
}

export interface SharedPresenceOptions {
  readonly board: PresenceBoard;
  /** The cluster's secrets, the newest first: a record that none of them has sealed is ignored. @default no check */
  readonly secrets?: readonly string[];
  /** A node that has said nothing for so long is gone. @default 6_000 */
  readonly leaseMs?: number;
  /** How often this node says that it is there. @default 2_000 */
  readonly beatMs?: number;
  /** Told when Redis does not answer, and of records that cannot be read. @default nobody */
  readonly warn?: (message: string) => void;
}

/** For so long a board that does not answer is done without: then this node takes itself for alone. As routes are. */
const MAX_UNHEARD_MS = 120_000;
/** More nodes than a cluster has; further ones are ignored. */
export const MAX_NODES = 1_024;
/** A node that has said nothing for so long is gone. */
export const NODE_LEASE_MS = 6_000;
/** A name stays registered for so long after its node's last renewal: until then it is remembered who vanished. */
const VANISHED_MS = 30_000;

interface Known {
  readonly node: NodeRecord;
  /** By `performance.now()`. */
  readonly endsAt: number;
}

export class SharedPresence implements Presence {
  readonly #options: SharedPresenceOptions;
  readonly #leaseMs: number;
  readonly #listeners = new Set<(change: PresenceChange) => void>();
  #known = new Map<string, Known>();
  /** Nodes that have gone without a word, and when that was found. */
  readonly #vanished = new Map<string, number>();
  #own: NodeRecord | null = null;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> | null = null;
  #lastBeatAt = Number.NEGATIVE_INFINITY;
  /** Whether the board has not answered last. */
  #isBlind = false;
  /** Why lines of the last beat were ignored: each reason is told once, not with every beat. */
  #ignored: ReadonlySet<string> = new Set();

  constructor(options: SharedPresenceOptions) {
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? NODE_LEASE_MS;
  }

  /** When the board last answered this node, by `performance.now()`. */
  get answeredAt(): number {
    return this.#lastBeatAt;
  }

  async join(node: NodeRecord): Promise<void> {
    const isHereAlready = this.#own !== null;
    this.#own = node;
    // One that is under way says what was before: it must not come last.
    await this.#beating;
    try {
      const strangers = await this.#ask(node);
      if (!isHereAlready && strangers.length > 0 && this.#known.size <= 1) {
        await this.#options.board.write(node.nodeId, "").catch(() => {});
        throw notJoined(strangers);
      }
    } catch (error) {
      // What a node says anew of itself the next beat says.
      if (!isHereAlready) this.#own = null;
      throw error;
    }
    clearInterval(this.#timer);
    this.#timer = setInterval(() => void this.#beat(), this.#options.beatMs ?? 2_000).unref();
  }

  async tell(node: NodeRecord): Promise<void> {
    if (this.#own === null) return;
    this.#own = node;
    await this.look();
  }

  async look(): Promise<void> {
    // The one under way may have been too early.
    await this.#beating;
    await this.#beat();
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    const own = this.#own;
    this.#own = null;
    if (own !== null) await this.#options.board.write(own.nodeId, "").catch(() => {});
  }

  nodes(): readonly NodeRecord[] {
    const now = this.#now();
    return [...this.#known.values()].filter(({ endsAt }) => endsAt > now).map(({ node }) => node);
  }

  urlOf(nodeId: string): string | null {
    const known = this.#known.get(nodeId);
    return known !== undefined && known.endsAt > this.#now() ? known.node.internalUrl : null;
  }

  vanished(): readonly string[] {
    const now = performance.now();
    for (const [nodeId, at] of this.#vanished) if (now - at > VANISHED_MS) this.#vanished.delete(nodeId);
    const leaseNow = this.#now();
    const ended = [...this.#known.values()].filter(({ endsAt }) => endsAt <= leaseNow).map(({ node }) => node.nodeId);
    return [...this.#vanished.keys(), ...ended];
  }

  onChange(listener: (change: PresenceChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    await this.leave();
  }

  #beat(): Promise<void> {
    const own = this.#own;
    if (own === null) return Promise.resolve();
    this.#beating ??= this.#beatOnce(own).finally(() => {
      this.#beating = null;
    });
    return this.#beating;
  }

  async #beatOnce(own: NodeRecord): Promise<void> {
    try {
      await this.#ask(own);
    } catch (error) {
      this.#options.warn?.(`This node cannot say that it is there: ${asDuplexityError(error).message}`);
      this.#isBlind = true;
      this.#update(new Map(this.#known), []);
    }
  }

  /** Answers why nodes that are there are none of this one's cluster. */
  async #ask(own: NodeRecord): Promise<readonly DuplexityError[]> {
    const { board, secrets = [] } = this.#options;
    const { there, left } = await board.write(own.nodeId, nodeLineOf(own, secrets));
    const known = new Map(this.#known);
    const wasBlind = this.#isBlind;
    this.#lastBeatAt = performance.now();
    this.#isBlind = false;
    const endsAt = this.#lastBeatAt + this.#leaseMs;
    // Nobody could renew its line meanwhile: each has a lease's time to do so.
    if (wasBlind) for (const [nodeId, { node }] of known) known.set(nodeId, { node, endsAt });
    for (const nodeId of left) known.delete(nodeId);
    const ignored = new Set<string>();
    const strangers: DuplexityError[] = [];
    for (const other of there.slice(0, MAX_NODES)) {
      const read = readNodeLine(other, own, secrets);
      if (read instanceof DuplexityError) {
        ignored.add(read.message);
        if (isStranger(read)) strangers.push(read);
      } else known.set(read.nodeId, { node: read, endsAt });
    }
    this.#tellIgnored(ignored);
    this.#update(known, left);
    return strangers;
  }

  #tellIgnored(ignored: ReadonlySet<string>): void {
    const before = this.#ignored;
    this.#ignored = ignored;
    for (const why of ignored) if (!before.has(why)) this.#options.warn?.(`A node is ignored: ${why}`);
  }

  /**
   * Takes `known` for what is known, without those whose lease has ended, and tells who came and went.
   *
   * @param left Those that have said so.
   */
  #update(known: Map<string, Known>, left: readonly string[]): void {
    const now = this.#now();
    for (const [nodeId, { endsAt }] of known) if (endsAt <= now) known.delete(nodeId);
    const before = this.#known;
    this.#known = known;
    const came = [...known.values()].filter(({ node }) => !before.has(node.nodeId)).map(({ node }) => node);
    const went = [...before.values()].filter(({ node }) => !known.has(node.nodeId)).map(({ node }) => node);
    for (const { nodeId } of came) this.#vanished.delete(nodeId);
    // At most MAX_NODES of them were known.
    for (const { nodeId } of went) if (!left.includes(nodeId)) this.#vanished.set(nodeId, performance.now());
    if (came.length + went.length === 0) return;
    for (const listener of [...this.#listeners]) listener({ came, went });
  }

  /** Leases do not end while nobody can renew them. */
  #now(): number {
    const now = performance.now();
    return this.#isBlind && now - this.#lastBeatAt < MAX_UNHEARD_MS ? this.#lastBeatAt : now;
  }
}
