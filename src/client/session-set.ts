// The sessions of one tunnel, over whichever links it has had, and the splices
// in them. Opens no socket to the server.

import {
  type DuplexityError,
  type ErrorCode,
  type OpenRequest,
  type RequestReport,
  Session,
  type Stream,
} from "../protocol/index.ts";
import { Splice, type SpliceOptions } from "./splice.ts";
import type { Target } from "./target.ts";

export interface SessionSetOptions {
  readonly connectTimeoutMs: number;
  onReport(report: RequestReport): void;
}

/** What one link brings. */
export interface LinkSessions {
  /** What SessionLink asks for a session that the link does not carry yet. */
  accept(id: number): Session;
  /** The link is gone: what ends before the next one brings it back ends without further notice. */
  detach(): void;
}

/** The session that a link's hub started or resumed first on it, which is its own, and what to do when that ends. */
interface OwnSession {
  session: Session | null;
  readonly onEnd: (error: DuplexityError) => void;
}

/** What the server said about the sessions that it will start. */
export interface SessionTerms {
  readonly resumeWindowMs: number;
  readonly maxStreams: number;
  /** Sessions of other nodes come over the link as well. */
  readonly hasOtherNodes: boolean;
}

export class SessionSet {
  readonly #options: SessionSetOptions;
  readonly #spliceOptions: SpliceOptions;
  readonly #sessions = new Map<number, Session>();
  /** Each with the hostname of its pipe. */
  readonly #splices = new Map<Splice, string>();
  /** By hostname. */
  #targets: ReadonlyMap<string, Target> = new Map();
  #terms: SessionTerms = { resumeWindowMs: 30_000, maxStreams: 4_096, hasOtherNodes: false };
  readonly #links = new Set<OwnSession>();
  #isDraining = false;
  #openedStreams = 0;
  #lastByteAt: number | null = null;
  // Of sessions that have ended.
  #pastBytesIn = 0;
  #pastBytesOut = 0;

  constructor(options: SessionSetOptions) {
    this.#options = options;
    this.#spliceOptions = {
      connectTimeoutMs: options.connectTimeoutMs,
      onClose: (splice) => this.#splices.delete(splice),
    };
  }

  /** From now on these hostnames lead there, and no others anywhere. */
  setTargets(targets: ReadonlyMap<string, Target>): void {
    this.#targets = targets;
  }

  setTerms(terms: SessionTerms): void {
    this.#terms = terms;
  }

  get openedStreams(): number {
    return this.#openedStreams;
  }

  get openStreams(): number {
    return this.#sum((session) => session.openStreams);
  }

  get bytesIn(): number {
    return this.#pastBytesIn + this.#sum((session) => session.bytesIn);
  }

  get bytesOut(): number {
    return this.#pastBytesOut + this.#sum((session) => session.bytesOut);
  }

  /** In ms since the epoch. */
  get lastByteAt(): number | null {
    let last = this.#lastByteAt;
    for (const { lastByteAt } of this.#sessions.values()) {
      if (lastByteAt !== null && (last === null || lastByteAt > last)) last = lastByteAt;
    }
    return last;
  }

  /** Connections to the targets of these hostnames. */
  countOpen(hostnames: ReadonlySet<string>): number {
    let count = 0;
    for (const hostname of this.#splices.values()) {
      if (hostnames.has(hostname)) count += 1;
    }
    return count;
  }

  /** Ends what is open to these hostnames; they lead nowhere any more. */
  closePipes(hostnames: ReadonlySet<string>, code: ErrorCode): void {
    this.#targets = new Map([...this.#targets].filter(([hostname]) => !hostnames.has(hostname)));
    for (const [splice, hostname] of [...this.#splices]) {
      if (hostnames.has(hostname)) splice.abort(code);
    }
  }

  /** @param onEnd The session of the link's own hub has ended, not by this side. */
  link(onEnd: (error: DuplexityError) => void): LinkSessions {
    const own: OwnSession = { session: null, onEnd };
    this.#links.add(own);
    return {
      accept: (id) => {
        const session = this.#sessions.get(id) ?? this.#start(id);
        own.session ??= session;
        return session;
      },
      detach: () => this.#links.delete(own),
    };
  }

  /** New streams are refused from now on. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Ends all of them and tells the server, if there is a link. */
  close(code: ErrorCode, reason: string): void {
    this.#isDraining = true;
    this.#links.clear();
    for (const session of [...this.#sessions.values()]) session.close(code, reason);
    for (const splice of [...this.#splices.keys()]) splice.abort(code);
  }

  #start(id: number): Session {
    const session = new Session({
      role: "acceptor",
      id,
      resumeWindowMs: this.#terms.resumeWindowMs,
      limits: { maxStreams: this.#terms.maxStreams },
      onOpen: (stream, request) => this.#open(stream, request),
      onReport: (report) => this.#options.onReport(report),
      onClose: (error) => this.#ended(session, error),
    });
    const before = [...this.#sessions.values()];
    this.#sessions.set(id, session);
    if (this.#terms.hasOtherNodes) return session;
    // A server that starts anew knows nothing of these: nobody will come back for their streams.
    for (const old of before) {
      if (!old.isLive) old.close("DPX_SESSION_EXPIRED", "The server has started a new session");
    }
    return session;
  }

  #open(stream: Stream, request: OpenRequest): void {
    this.#openedStreams += 1;
    const target = this.#targets.get(request.hostname);
    if (this.#isDraining) stream.reset("DPX_DRAINING", 0);
    else if (target === undefined) stream.reset("DPX_PIPE_UNKNOWN", 0);
    else this.#splices.set(new Splice(stream, target, this.#spliceOptions), request.hostname);
  }

  #ended(session: Session, error: DuplexityError): void {
    this.#sessions.delete(session.id);
    this.#pastBytesIn += session.bytesIn;
    this.#pastBytesOut += session.bytesOut;
    this.#lastByteAt = Math.max(this.#lastByteAt ?? 0, session.lastByteAt ?? 0) || null;
    for (const own of [...this.#links]) {
      if (own.session !== session) continue;
      this.#links.delete(own);
      own.onEnd(error);
    }
  }

  #sum(count: (session: Session) => number): number {
    let sum = 0;
    for (const session of this.#sessions.values()) sum += count(session);
    return sum;
  }
}
