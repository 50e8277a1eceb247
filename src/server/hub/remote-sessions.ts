// All sessions of this node with clients whose link is at another hub, one for
// each client. The route table asks for them; a link that comes here takes its own.

import type { Session } from "../../protocol/index.ts";
import type { NodeSessions, SessionHolder } from "./node-sessions.ts";
import { type ClientPlace, type HubSource, RemoteSession, type RemoteSessionOptions } from "./remote-session.ts";

export interface RemoteSessionsOptions {
  readonly nodeId: string;
  readonly peers: HubSource;
  /** Other live nodes. No I/O. */
  readonly nodeIds: () => readonly string[];
  readonly sessions: NodeSessions;
  /** How often sessions are looked at; one without a stream for two looks ends. @default 60_000 */
  readonly sweepEveryMs?: number;
  /** A session has a way to its client: who waits for one of its names may try. */
  onLive(clientId: string): void;
  log(level: "debug", message: string): void;
}

/** No more at once: a client beyond is away for this node's visitors. */
const MAX_REMOTE_SESSIONS = 65_536;

export class RemoteSessions {
  readonly #options: RemoteSessionsOptions;
  readonly #remotes = new Map<string, RemoteSession>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RemoteSessionsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#sweep(), options.sweepEveryMs ?? 60_000);
    this.#timer.unref();
  }

  get size(): number {
    return this.#remotes.size;
  }

  /** The session with the client of a record, live or not; begun if there is none. Null: it cannot be reached from here. */
  sessionOf(place: ClientPlace): Session | null {
    const known = this.#known(place);
    if (known !== null) {
      known.place = place;
      known.seek();
      return known.session;
    }
    const { nodeId, sessions } = this.#options;
    if (place.nodeId === nodeId || this.#remotes.size >= MAX_REMOTE_SESSIONS) return null;
    return this.#add(place, (holder) => sessions.start(holder));
  }

  /** The link that carried `session` here is gone; the client has, or will have, one at another hub. */
  adopt(session: Session, place: ClientPlace): void {
    if (session.isClosed) return;
    // Of the two the one with streams is worth keeping; the other one has just begun.
    this.#remotes.get(place.clientId)?.session.close("DPX_CANCELLED", "Another session of this node took its place");
    this.#add(place, (holder) => {
      this.#options.sessions.pass(session, holder);
      return session;
    });
  }

  /** The client's link is here now: gives the session away. */
  take(clientId: string, ownerId: string): Session | null {
    const remote = this.#remotes.get(clientId);
    if (remote === undefined || remote.place.ownerId !== ownerId || remote.session.isClosed) return null;
    this.#remotes.delete(clientId);
    remote.release();
    return remote.session;
  }

  /** The registry tells of a change of one of the client's names. */
  moved(place: ClientPlace): void {
    this.#known(place)?.moved(place);
  }

  /** The client holds no name any more. */
  gone(clientId: string): void {
    this.#remotes.get(clientId)?.left();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { session } of [...this.#remotes.values()]) session.close("DPX_DRAINING", "This node is shutting down");
  }

  #known({ clientId, ownerId }: ClientPlace): RemoteSession | null {
    const remote = this.#remotes.get(clientId);
    // Another owner's client may have the same id at another hub.
    return remote !== undefined && remote.place.ownerId === ownerId ? remote : null;
  }

  #add(place: ClientPlace, start: (holder: SessionHolder) => Session): Session {
    const { nodeId, nodeIds, peers, log, onLive } = this.#options;
    const { clientId } = place;
    const options: RemoteSessionOptions = {
      ...{ nodeId, nodeIds, peers, log },
      onLive: () => onLive(clientId),
      onClose: (closed) => {
        if (this.#remotes.get(clientId) === closed) this.#remotes.delete(clientId);
      },
    };
    const remote = new RemoteSession(start, place, options);
    this.#remotes.set(clientId, remote);
    remote.seek();
    return remote.session;
  }

  /** What nobody uses costs a little here, at the hub and at the client. */
  #sweep(): void {
    for (const remote of [...this.#remotes.values()]) {
      const isIdle = remote.session.openStreams === 0 && remote.movedBytes === remote.idleBytes;
      if (isIdle) remote.session.close("DPX_CANCELLED", "Nothing was open in it");
      else remote.idleBytes = remote.movedBytes;
    }
  }
}
