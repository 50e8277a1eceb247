// The sessions in which other nodes call this one: the key of each, and which of its calls have come already.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { type CallExchange, isSameProof, type ProvenCall, proofOfCall, sessionKeyOf } from "./call-proof.ts";

export interface CallSessionsOptions {
  /** This node. */
  readonly nodeId: string;
  /** The cluster's secrets, any of which is accepted. */
  readonly secrets: readonly string[];
}

export interface Opened {
  readonly session: string;
  readonly nonce: string;
}

/** A call as it came: nothing of it is believed yet. */
export interface ShownCall extends ProvenCall {
  readonly session: string;
  readonly proof: string;
}

/** Who has made a call, and the key that its answer is proved with. */
export interface Caller {
  readonly nodeId: string;
  readonly key: Buffer;
}

/** Sessions that have shown no proof yet; the oldest makes room. */
const MAX_NEW = 256;
/** Sessions of nodes of the cluster, several of each; the one that was used longest ago makes room. */
const MAX_PROVEN = 4_096;
/** Calls may overtake each other by so many. */
const WINDOW = 4_096;
const NONCE_BYTES = 24;

interface Proven extends Caller {
  /** Numbers that have come, of those above `highest - WINDOW`. */
  readonly seen: Set<number>;
  highest: number;
}

export class CallSessions {
  readonly #options: CallSessionsOptions;
  readonly #new = new Map<string, CallExchange>();
  readonly #proven = new Map<string, Proven>();

  constructor(options: CallSessionsOptions) {
    this.#options = options;
  }

  open(nodeId: string, nodeNonce: string): Opened {
    const [session, backendNonce] = [newWord(), newWord()];
    this.#new.set(session, { backendId: this.#options.nodeId, nodeId, backendNonce, nodeNonce });
    trim(this.#new, MAX_NEW);
    return { session, nonce: backendNonce };
  }

  /** Whether a call in it may be worth reading. */
  has(session: string): boolean {
    return this.#proven.has(session) || this.#new.has(session);
  }

  /** Whether somebody has shown in it that they know the secret. */
  isProven(session: string): boolean {
    return this.#proven.has(session);
  }

  /**
   * Who makes the call, if it is proved and came for the first time.
   *
   * @throws {DuplexityError} `DPX_SESSION_UNKNOWN` if there is no such session (any more), `DPX_AUTH_INVALID`.
   */
  check(call: ShownCall): Caller {
    const session = this.#proven.get(call.session) ?? this.#prove(call);
    const { key, seen, highest } = session;
    if (!isSameProof(call.proof, proofOfCall(key, call))) throw wrongSecret(session.nodeId);
    if (call.number <= highest - WINDOW || seen.has(call.number)) {
      throw new DuplexityError("DPX_AUTH_INVALID", `Cannot take the call of ${session.nodeId}: it has come before`);
    }
    seen.add(call.number);
    session.highest = Math.max(highest, call.number);
    if (seen.size > 2 * WINDOW) for (const old of seen) if (old <= session.highest - WINDOW) seen.delete(old);
    this.#proven.delete(call.session);
    this.#proven.set(call.session, session);
    trim(this.#proven, MAX_PROVEN);
    return session;
  }

  /** The first call of a session says by which secret. */
  #prove(call: ShownCall): Proven {
    const exchange = this.#new.get(call.session);
    if (exchange === undefined) {
      throw new DuplexityError("DPX_SESSION_UNKNOWN", "Cannot take the call: its session is unknown here");
    }
    const keys = this.#options.secrets.map((secret) => sessionKeyOf(secret, exchange));
    const key = keys.find((candidate) => isSameProof(call.proof, proofOfCall(candidate, call)));
    if (key === undefined) throw wrongSecret(exchange.nodeId);
    this.#new.delete(call.session);
    return { nodeId: exchange.nodeId, key, seen: new Set(), highest: 0 };
  }
}

/** Unguessable. */
export function newWord(): string {
  return randomBytes(NONCE_BYTES).toString("base64url");
}

function trim(map: Map<string, unknown>, most: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= most) return;
    map.delete(oldest);
  }
}

function wrongSecret(nodeId: string): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot trust node ${nodeId}: it does not know the cluster's secret`, {
    hint: "Give all nodes the same --cluster-secret-file.",
  });
}
