// Starts this node's sessions with clients. A session outlives the place that
// answers for it: its client's link comes to this hub, goes to another, comes back.

import { type DuplexityError, newSessionId, Session } from "../../protocol/index.ts";

/** Who answers for a session at the moment. */
export interface SessionHolder {
  onLive(): void;
  onDetached(error: DuplexityError): void;
  onClose(error: DuplexityError): void;
}

export interface NodeSessionsOptions {
  readonly resumeWindowMs: number;
  readonly maxStreams: number;
}

export class NodeSessions {
  readonly #options: NodeSessionsOptions;
  readonly #holders = new WeakMap<Session, SessionHolder>();

  constructor(options: NodeSessionsOptions) {
    this.#options = options;
  }

  start(holder: SessionHolder): Session {
    const { resumeWindowMs, maxStreams } = this.#options;
    const session: Session = new Session({
      role: "opener",
      id: newSessionId(),
      resumeWindowMs,
      limits: { maxStreams },
      onLive: () => this.#holders.get(session)?.onLive(),
      onDetached: (error) => this.#holders.get(session)?.onDetached(error),
      onClose: (error) => this.#holders.get(session)?.onClose(error),
    });
    this.#holders.set(session, holder);
    return session;
  }

  /** From now on `holder` answers for it. */
  pass(session: Session, holder: SessionHolder): void {
    this.#holders.set(session, holder);
  }
}
