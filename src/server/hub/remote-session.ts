// This node's session with a client whose link is at another hub: finds a way
// there, and another one when that is gone, for as long as the session waits.

import { asDuplexityError, type DuplexityError, type ErrorCode, type Session } from "../../protocol/index.ts";
import type { RegistryRecord } from "../backend/registry.ts";
import type { PeerPath, Peers } from "../peer/index.ts";
import type { SessionHolder } from "./node-sessions.ts";

/** What of a record says where its client is. */
export type ClientPlace = Pick<RegistryRecord, "clientId" | "ownerId" | "hostname" | "epoch" | "nodeId">;

export interface RemoteSessionOptions {
  readonly nodeId: string;
  readonly peers: Pick<Peers, "connect">;
  /** Nodes whose hub may have the client's link besides the one that the registry names: a second link is in no record. */
  readonly nodeIds: () => readonly string[];
  onLive(remote: RemoteSession): void;
  onClose(remote: RemoteSession, error: DuplexityError): void;
  log(level: "debug", message: string): void;
}

/** After all ways failed the next attempt comes so much later, unless the registry tells of a change. */
const RETRY_MS = { first: 100, most: 2_000 } as const;
/** The hub could not pass on what it was given: nothing is gained by coming back at once. */
const CONGESTED_RETRY_MS = 1_000;
/** Hubs that are asked besides the one that the registry names, once that one does not answer … */
const MAX_ASKED_HUBS = 16;
/** … within this time. Where there was a way before, all are asked at once. */
const ASK_OTHERS_AFTER_MS = 250;
/** With these the client itself is over, wherever it was. */
const FINAL_CODES: ReadonlySet<ErrorCode> = new Set([
  "DPX_KICKED",
  "DPX_BANNED",
  "DPX_REPLACED",
  "DPX_CANCELLED",
  "DPX_AUTH_INVALID",
  "DPX_FORBIDDEN",
]);

export class RemoteSession implements SessionHolder {
  readonly session: Session;
  place: ClientPlace;
  /** Bytes moved when it was last found idle. */
  idleBytes = -1;
  readonly #options: RemoteSessionOptions;
  /** Ends the search that runs; null: none runs. */
  #search: AbortController | null = null;
  #isReleased = false;
  #wasLive = false;
  /** Cuts the wait between two attempts short. */
  #wake: () => void = () => {};

  constructor(start: (holder: SessionHolder) => Session, place: ClientPlace, options: RemoteSessionOptions) {
    this.place = place;
    this.#options = options;
    this.session = start(this);
  }

  get movedBytes(): number {
    return this.session.bytesIn + this.session.bytesOut;
  }

  /** Looks for a way, if it has none and does not look already. */
  seek(afterMs = 0): void {
    if (this.#search !== null || this.#isReleased || this.session.isClosed || this.session.isLive) return;
    const search = new AbortController();
    this.#search = search;
    void this.#seek(search, afterMs).finally(() => {
      if (this.#search === search) this.#search = null;
    });
  }

  /** The registry says where the client is. */
  moved(place: ClientPlace): void {
    const isNews = place.nodeId !== this.place.nodeId;
    this.place = place;
    if (this.session.isLive || this.#isReleased) return;
    // What waits at the hub before would keep the attempt from trying the new one.
    if (isNews) this.#search?.abort();
    if (isNews) this.#search = null;
    this.#wake();
    this.seek();
  }

  /** Somebody else answers for the session. */
  release(): void {
    this.#isReleased = true;
    this.#search?.abort();
    this.#wake();
  }

  onLive(): void {
    this.#wasLive = true;
    this.#options.onLive(this);
  }

  onDetached(error: DuplexityError): void {
    const { clientId } = this.place;
    this.#options.log("debug", `The way to ${clientId} is gone: ${error.code}: ${error.message}`);
    if (FINAL_CODES.has(error.code)) this.session.close(error.code, error.message);
    else this.seek(error.code === "DPX_LINK_QUEUE" ? CONGESTED_RETRY_MS : 0);
  }

  onClose(error: DuplexityError): void {
    this.release();
    this.#options.onClose(this, error);
  }

  async #seek({ signal }: AbortController, afterMs: number): Promise<void> {
    if (afterMs > 0) await this.#wait(afterMs);
    for (let retryMs: number = RETRY_MS.first; !signal.aborted; retryMs = Math.min(retryMs * 2, RETRY_MS.most)) {
      const path = await this.#findPath(signal);
      if (path !== null) {
        if (signal.aborted) path.forget();
        else this.session.attach(path);
        return;
      }
      if (!signal.aborted) await this.#wait(retryMs);
    }
  }

  /** Asks the hub that the registry names, and then the others; the first that has the client's link wins. */
  async #findPath(parent: AbortSignal): Promise<PeerPath | null> {
    const { nodeId: ownId, nodeIds } = this.#options;
    const { nodeId } = this.place;
    const others = nodeIds().filter((other) => other !== ownId && other !== nodeId);
    const attempt = new AbortController();
    const abort = (): void => attempt.abort(new Error("Another way was found"));
    parent.addEventListener("abort", abort, { once: true });
    const inquiry: Inquiry = { found: null, attempt, parent };
    const asked = nodeId === ownId ? [] : [this.#ask(nodeId, inquiry)];
    if (!this.#wasLive && asked.length > 0) await Promise.race([...asked, this.#wait(ASK_OTHERS_AFTER_MS)]);
    if (inquiry.found === null && !parent.aborted) {
      for (const other of others.slice(0, MAX_ASKED_HUBS)) asked.push(this.#ask(other, inquiry));
    }
    await firstTrue(asked);
    parent.removeEventListener("abort", abort);
    return inquiry.found;
  }

  /** Answers whether there is a way over that hub. */
  async #ask(nodeId: string, inquiry: Inquiry): Promise<boolean> {
    const { peers, log } = this.#options;
    try {
      const peer = await peers.connect(nodeId);
      const path = await peer.openPath(this.session, target(this.place), inquiry.attempt.signal);
      if (inquiry.found !== null || inquiry.parent.aborted) {
        path.forget();
        return false;
      }
      inquiry.found = path;
      inquiry.attempt.abort(new Error("Another way was found"));
      return true;
    } catch (error) {
      log("debug", `No way to ${this.place.clientId} over ${nodeId}: ${asDuplexityError(error).message}`);
      return false;
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** One search: what it has found, and what ends its questions. */
interface Inquiry {
  found: PeerPath | null;
  readonly attempt: AbortController;
  readonly parent: AbortSignal;
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
