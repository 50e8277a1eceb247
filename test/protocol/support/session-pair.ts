// Two sessions that talk over simulated links, and what became of each.

import {
  type DuplexityError,
  newSessionId,
  type OpenRequest,
  Session,
  type SessionLimits,
  SessionLink,
  type SessionLinkOptions,
  type SessionOptions,
  type Stream,
} from "../../../src/protocol/index.ts";
import { type SimLink, simLinks } from "./sim-link.ts";

export const REQUEST: OpenRequest = {
  hostname: "cat1.localhost",
  protocol: "http",
  visitor: "127.0.0.1:50000",
  isTls: false,
};
export const HEARTBEAT = { idleMs: 10_000, timeoutMs: 5_000 };

/** Both ends of one link, and what carries the sessions over it. */
export interface Wire {
  /** The opener's end. */
  readonly left: SimLink;
  /** The acceptor's end. */
  readonly right: SimLink;
  readonly opener: SessionLink;
  readonly acceptor: SessionLink;
}

export interface PairOptions {
  onOpen?(stream: Stream, request: OpenRequest): void;
  readonly resumeWindowMs?: number;
  readonly openerLimits?: Partial<SessionLimits>;
  readonly acceptorLimits?: Partial<SessionLimits>;
  readonly openerOptions?: Partial<SessionOptions>;
  readonly acceptorOptions?: Partial<SessionOptions>;
}

export class SessionPair {
  readonly opener: Session;
  readonly acceptor: Session;
  openerClosed: DuplexityError | null = null;
  acceptorClosed: DuplexityError | null = null;
  readonly wires: Wire[] = [];

  constructor(options: PairOptions = {}) {
    const id = newSessionId();
    const resumeWindow = options.resumeWindowMs === undefined ? {} : { resumeWindowMs: options.resumeWindowMs };
    this.opener = new Session({
      role: "opener",
      id,
      onClose: (error) => (this.openerClosed = error),
      limits: options.openerLimits ?? {},
      ...resumeWindow,
      ...options.openerOptions,
    });
    this.acceptor = new Session({
      role: "acceptor",
      id,
      onClose: (error) => (this.acceptorClosed = error),
      limits: options.acceptorLimits ?? {},
      ...(options.onOpen === undefined ? {} : { onOpen: options.onOpen }),
      ...resumeWindow,
      ...options.acceptorOptions,
    });
  }

  /** A new link between the two, and the opener goes over to it. */
  connect(delayMs = 0, bytesPerMs = Number.POSITIVE_INFINITY, options: Partial<SessionLinkOptions> = {}): Wire {
    const [left, right] = simLinks(delayMs, bytesPerMs);
    const acceptor = new SessionLink(right, {
      heartbeat: HEARTBEAT,
      onClose() {},
      acceptSession: () => this.acceptor,
    });
    const opener = new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {}, ...options });
    const wire = { left, right, opener, acceptor };
    this.wires.push(wire);
    this.opener.attach(opener);
    return wire;
  }

  get isLive(): boolean {
    return this.opener.isLive && this.acceptor.isLive;
  }

  get isQuiet(): boolean {
    const { opener, acceptor } = this;
    return opener.bufferedBytes + acceptor.bufferedBytes + opener.openStreams + acceptor.openStreams === 0;
  }

  /** Ends both, and all links. */
  dispose(): void {
    this.opener.close("DPX_CANCELLED", "The test is over");
    this.acceptor.close("DPX_CANCELLED", "The test is over");
    for (const { left, right } of this.wires) {
      left.end();
      right.end();
    }
  }
}
