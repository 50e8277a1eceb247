// What the hub knows of one client: its sockets, its session, its pipes. Holds
// state and answers questions; the hub decides.

import type { PipeProtocol, Session, SessionLink } from "../../protocol/index.ts";
import type { Identity } from "../identity/index.ts";
import type { ControlSocket } from "./control-socket.ts";

/** A pipe that this client holds in the registry. */
export interface HeldPipe {
  /** As the client asked for it. */
  readonly name: string;
  readonly hostname: string;
  readonly protocol: PipeProtocol;
  readonly url: string;
  readonly epoch: number;
}

export class ClientRecord {
  readonly clientId: string;
  readonly identity: Identity;
  /** Unix time in ms. */
  readonly since: number;
  control: ControlSocket | null = null;
  link: SessionLink | null = null;
  session: Session | null = null;
  held: readonly HeldPipe[] = [];
  /** The client said goodbye: nothing new, what runs may finish. */
  isLeaving = false;
  leavingTimer: NodeJS.Timeout | undefined;
  /** Out of the table for good: whatever still runs for it must undo itself. */
  hasEnded = false;
  /** Counts its dialers: only the newest one may go on. */
  dials = 0;
  /** What is being done with its registrations at this moment; one thing at a time. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(clientId: string, identity: Identity, since: number) {
    this.clientId = clientId;
    this.identity = identity;
    this.since = since;
  }

  get isLive(): boolean {
    return this.session?.isLive === true;
  }

  /** Runs `work` after what came before it: two dialers must not undo each other's registrations. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }
}
