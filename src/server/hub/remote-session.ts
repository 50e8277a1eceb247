// This node's session with a client whose link is at another hub: finds a way
// there, and another one when that is gone, for as long as the session waits.

import { once } from "node:events";
import { asDuplexityError, DuplexityError, type Session } from "../../protocol/index.ts";
import type { RegistryRecord } from "../backend/registry.ts";
import type { OutgoingPeer, PeerPath } from "../peer/index.ts";
import { FINAL_CODES } from "./final-codes.ts";
import type { SessionHolder } from "./node-sessions.ts";

/** What of a record says where its client is. */
export type ClientPlace = Pick<RegistryRecord, "clientId" | "ownerId" | "hostname" | "epoch" | "nodeId">;

type HubPeer = Pick<OutgoingPeer, "isOpen" | "openPath">;

/** Where the sockets to other hubs come from. */
export interface HubSource {
  connect(nodeId: string): Promise<HubPeer>;
}

export interface RemoteSessionOptions {
  readonly nodeId: string;
  readonly peers: HubSource;
  /** Nodes whose hub may have the client's link besides the one that the registry names: a second link is in no record. */
  readonly nodeIds: () => readonly string[];
  onLive(remote: RemoteSession): void;
  onClose(remote: RemoteSession, error: DuplexityError): void;
  log(level: "debug", message: string): void;
}

/** So long after all ways failed the next attempt comes; `first` is enough once the registry tells of a change. */
const RETRY_MS = { first: 100, most: 2_000 } as const;
/** The hub could not pass on what it was given: nothing is gained by coming back at once. */
const CONGESTED_RETRY_MS = 1_000;
/** Hubs that are asked in one attempt besides the one that the registry names; the next attempt asks the next ones. */
const MAX_ASKED_HUBS = 16;
/** For so long one side is waited for before the other is asked as well. Where there was a way before, all are asked at once. */
const ASK_OTHERS_AFTER_MS = 250;
/** In a larger cluster a second link is not looked for while the first one is there: too many would be asked in vain. */
const MAX_SPREAD_HUBS = 8;
/** So long one attempt takes: whoever still waits for the client is asked anew, and so are those that had said no. */
const ATTEMPT_MS = 5_000;
/** A client that is there has answered RESUME by then: else its link only seems to be, and another one is looked for. */
const ANSWER_MS = 5_000;
/** A client that holds no name any more may have another link over which what runs can finish; it is looked for so long. */
const LEFT_MS = 2_000;

export class RemoteSession implements SessionHolder {
  readonly session: Session;
  /** Bytes moved when it was last found idle. */
  idleBytes = -1;
  readonly #options: RemoteSessionOptions;
  #place: ClientPlace;
  /** Whether its client holds no name any more. */
  #hasLeft = false;
  #leftTimer: NodeJS.Timeout | undefined;
  /** Ends the search that runs; null: none runs. */
  #search: AbortController | null = null;
  /** Whether that search began while there was a way: it asks only the hub that the registry names. */
  #isFollowing = false;
  /** Hubs that have said no in the attempt that runs, or ran last. */
  readonly #refusals = new Set<string>();
  #isReleased = false;
  #wasLive = false;
  /** The node of the way that it took last. */
  #over: string | null = null;
  /** Where the next attempt begins to ask. */
  #turn = 0;
  /** Cuts the wait that runs short. */
  #wake: () => void = () => {};

  constructor(start: (holder: SessionHolder) => Session, place: ClientPlace, options: RemoteSessionOptions) {
    this.#place = place;
    this.#options = options;
    this.session = start(this);
  }

  get place(): ClientPlace {
    return this.#place;
  }

  /** Its client holds a name. */
  set place(place: ClientPlace) {
    this.#place = place;
    this.#hasLeft = false;
    clearTimeout(this.#leftTimer);
  }

  get movedBytes(): number {
    return this.session.bytesIn + this.session.bytesOut;
  }

  /** Looks for a way, if it is on none and does not look already. */
  seek(afterMs = 0): void {
    // One whose RESUME is under way is not disturbed: each visitor who comes meanwhile would begin it anew.
    if (this.session.isDetached) this.#look(afterMs);
  }

  /** The registry says where the client is. */
  moved(place: ClientPlace): void {
    const isNews = place.nodeId !== this.place.nodeId;
    const isNewer = place.epoch > this.place.epoch;
    this.place = place;
    if (this.#isReleased) return;
    if (!isNews) {
      // Another name, or the same one anew: no reason to disturb a RESUME that is under way.
      if (!this.session.isDetached) return;
      // The client came after the question, and another hub may be silent for the rest of the attempt.
      if (this.#refusals.has(place.nodeId)) this.#stop();
      else this.#wake();
      this.seek();
      return;
    }
    // It is there already, or its RESUME is under way there.
    if (this.#over === place.nodeId && !this.session.isDetached) return;
    // The way that is there may lead over a link that its client has left as too slow, or that is about to go.
    if (this.session.isLive && !isNewer) return;
    // What waits at the hub before would keep the attempt from trying the new one.
    this.#stop();
    this.#look(0);
  }

  /** Its client holds no name any more: what has a way may finish, and what has none does not wait for long. */
  left(): void {
    this.#hasLeft = true;
    this.#awaitLeft();
  }

  /** Somebody else answers for the session. */
  release(): void {
    this.#isReleased = true;
    clearTimeout(this.#leftTimer);
    this.#stop();
  }

  onLive(): void {
    this.#wasLive = true;
    clearTimeout(this.#leftTimer);
    this.#stop();
    this.#options.onLive(this);
  }

  onDetached(error: DuplexityError): void {
    const { clientId } = this.place;
    this.#options.log("debug", `The way to ${clientId} is gone: ${error.code}: ${error.message}`);
    if (FINAL_CODES.has(error.code)) {
      this.session.close(error.code, error.message);
      return;
    }
    this.#awaitLeft();
    const isCongested = error.code === "DPX_LINK_QUEUE";
    if (this.#isFollowing || isCongested) this.#stop();
    else this.#wake();
    this.seek(isCongested ? CONGESTED_RETRY_MS : 0);
  }

  onClose(error: DuplexityError): void {
    this.release();
    this.#options.onClose(this, error);
  }

  #awaitLeft(): void {
    if (!this.#hasLeft || this.session.isLive || this.#isReleased) return;
    clearTimeout(this.#leftTimer);
    this.#leftTimer = setTimeout(() => this.session.close("DPX_CLIENT_AWAY", "The client has left"), LEFT_MS);
  }

  #look(afterMs: number): void {
    if (this.#search !== null || this.#isReleased || this.session.isClosed) return;
    const search = new AbortController();
    this.#search = search;
    this.#isFollowing = this.session.isLive;
    void this.#seek(search.signal, afterMs).finally(() => {
      if (this.#search === search) this.#search = null;
    });
  }

  #stop(): void {
    this.#search?.abort();
    this.#search = null;
  }

  /** Until a way has brought the client's answer: then `onLive` ends the search. */
  async #seek(signal: AbortSignal, afterMs: number): Promise<void> {
    await this.#wait(afterMs, signal);
    let silent: string | null = null;
    for (let retryMs: number = RETRY_MS.first; !signal.aborted; retryMs = Math.min(retryMs * 2, RETRY_MS.most)) {
      const path = await this.#findPath(signal, silent);
      if (signal.aborted) {
        path?.forget();
        return;
      }
      if (path === null && this.session.isLive) return;
      // One that is over by now is not taken.
      if (path !== null) this.session.attach(path);
      if (path?.isOpen === true) this.#over = path.nodeId;
      if (path?.isOpen === true) await this.#wait(ANSWER_MS, signal);
      silent = path?.isOpen === true ? path.nodeId : null;
      // What wakes it cuts the wait that began last, and only that.
      if (silent === null) await Promise.all([this.#wait(RETRY_MS.first, signal), this.#wait(retryMs, signal)]);
      else if (!signal.aborted) this.#options.log("debug", `${this.place.clientId} does not answer over ${silent}`);
    }
  }

  /**
   * Asks hubs for the client's link: the first that has it wins. Of the sessions one half begins with the hub that the
   * registry names, the other half with the others, so that both links of a client have something to do.
   *
   * @param silent A node over which the client has not answered: it is asked last.
   */
  async #findPath(signal: AbortSignal, silent: string | null): Promise<PeerPath | null> {
    const { named, others } = this.#hubs();
    if (named.length + others.length === 0) return null;
    const isSpread = this.session.id % 2 === 1 && others.length <= MAX_SPREAD_HUBS;
    const isNamedLast = named.includes(silent ?? "") || (isSpread && !others.includes(silent ?? ""));
    const [first, then] = isNamedLast ? [others, named] : [named, others];
    const attempt = new AbortController();
    const ended = once(attempt.signal, "abort");
    const end = (): void => attempt.abort(new DuplexityError("DPX_CANCELLED", "The attempt is over"));
    signal.addEventListener("abort", end, { once: true });
    const timer = setTimeout(end, ATTEMPT_MS);
    const inquiry: Inquiry = { found: null, attempt };
    this.#refusals.clear();
    const ask = (nodeIds: readonly string[]): Promise<boolean>[] => nodeIds.map((nodeId) => this.#ask(nodeId, inquiry));
    const asked = ask(first);
    if (!this.#wasLive || silent !== null) {
      await Promise.race([firstTrue(asked), this.#wait(ASK_OTHERS_AFTER_MS, attempt.signal)]);
    }
    if (!attempt.signal.aborted) asked.push(...ask(then));
    await Promise.race([firstTrue(asked), ended]);
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    return inquiry.found;
  }

  /** Those that are asked in this attempt. */
  #hubs(): { readonly named: readonly string[]; readonly others: readonly string[] } {
    const { nodeId: ownId, nodeIds } = this.#options;
    const { nodeId } = this.place;
    const all = nodeIds().filter((other) => other !== ownId && other !== nodeId);
    const start = all.length > MAX_ASKED_HUBS ? this.#turn % all.length : 0;
    this.#turn += MAX_ASKED_HUBS;
    const others = [...all.slice(start), ...all.slice(0, start)].slice(0, MAX_ASKED_HUBS);
    // One that has a way only follows its client.
    return { named: nodeId === ownId ? [] : [nodeId], others: this.session.isLive ? [] : others };
  }

  /** Answers whether there is a way over that hub. */
  async #ask(nodeId: string, inquiry: Inquiry): Promise<boolean> {
    const { peers, log } = this.#options;
    const { signal } = inquiry.attempt;
    let peer: HubPeer | null = null;
    try {
      peer = await peers.connect(nodeId);
      const path = await peer.openPath(this.session, target(this.place), signal);
      if (signal.aborted) {
        path.forget();
        return false;
      }
      inquiry.found = path;
      inquiry.attempt.abort(new DuplexityError("DPX_CANCELLED", "Another way was found"));
      return true;
    } catch (error) {
      // One that cannot be reached has not said anything.
      if (!signal.aborted && peer?.isOpen === true) this.#refusals.add(nodeId);
      log("debug", `No way to ${this.place.clientId} over ${nodeId}: ${asDuplexityError(error).message}`);
      return false;
    }
  }

  /** Until then, or until it is woken or `signal` aborts. */
  #wait(ms: number, signal: AbortSignal): Promise<void> {
    if (ms === 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done, { once: true });
      this.#wake = done;
    });
  }
}

/** One attempt: what it has found, and what ends its questions. */
interface Inquiry {
  found: PeerPath | null;
  readonly attempt: AbortController;
}

/** Resolves when one of them is true, or all are not. */
async function firstTrue(answers: readonly Promise<boolean>[]): Promise<void> {
  const yes = answers.map(async (answer) => {
    if (!(await answer)) throw new Error("no");
  });
  await Promise.any(yes).catch(() => {});
}

function target({ clientId, ownerId, hostname, epoch }: ClientPlace): Omit<ClientPlace, "nodeId"> {
  return { clientId, ownerId, hostname, epoch };
}
