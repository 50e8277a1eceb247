// What the hub knows of one client: its sockets, its session, its pipes. Holds
// state and answers questions; the hub decides.

import type { DuplexityError, PipeProtocol, Session, SessionLink } from "../../protocol/index.ts";
import type { Holding, RegistryRecord } from "../backend/registry.ts";
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

/** How many names the clients of one owner hold, held and ask for: one that two of them do counts twice. */
export interface NameTally {
  count: number;
}

export class ClientRecord {
  readonly clientId: string;
  /** As it was shown last, or as the authenticator says that it is now: its owner never changes. */
  identity: Identity;
  /** Unix time in ms. */
  readonly since: number;
  control: ControlSocket | null = null;
  link: SessionLink | null = null;
  session: Session | null = null;
  /** A dialer of its first link registers its pipes at this moment: the others hear of the names before there is a link. */
  isRegistering = false;
  /** The client said goodbye: nothing new, what runs may finish. */
  isLeaving = false;
  leavingTimer: NodeJS.Timeout | undefined;
  /** Runs while its session goes another way than over this hub. */
  awayTimer: NodeJS.Timeout | undefined;
  /** Why it is out of the table for good: whatever still runs for it must undo itself. */
  ended: DuplexityError | null = null;
  /** When it is to come to another hub if this one is gone; null: it was not told. */
  moveTurn: number | null = null;
  /** Counts its dialers: only the newest one may go on. */
  dials = 0;
  /** Counts its fresh tokens: only the newest one counts. */
  refreshes = 0;
  #held: readonly HeldPipe[] = [];
  #moved: readonly HeldPipe[] = [];
  #wanted: readonly string[] = [];
  /** As the registry last said, by hostname: where the names are registered of which it has the second link here. */
  readonly #elsewhere = new Map<string, RegistryRecord>();
  #tally: NameTally;
  /** What is being done with its registrations at this moment; one thing at a time. */
  #work: Promise<unknown>;

  /**
   * @param tally Of its owner.
   * @param before What has to be over first: the end of the one that had this clientId before.
   */
  constructor(
    clientId: string,
    identity: Identity,
    since: number,
    tally: NameTally = { count: 0 },
    before: Promise<unknown> = Promise.resolve(),
  ) {
    this.clientId = clientId;
    this.identity = identity;
    this.since = since;
    this.#tally = tally;
    this.#work = before;
  }

  get held(): readonly HeldPipe[] {
    return this.#held;
  }

  set held(pipes: readonly HeldPipe[]) {
    this.#tally.count += pipes.length - this.#held.length;
    this.#held = pipes;
  }

  /** What it held here until it got the names over another hub: if that one refuses it the others, they come back. */
  get moved(): readonly HeldPipe[] {
    return this.#moved;
  }

  set moved(pipes: readonly HeldPipe[]) {
    this.#tally.count += pipes.length - this.#moved.length;
    this.#moved = pipes;
  }

  /** Hostnames that its newest dialer asks for and does not hold yet, or that it gave up with its goodbye. */
  get wanted(): readonly string[] {
    return this.#wanted;
  }

  set wanted(hostnames: readonly string[]) {
    this.#tally.count += hostnames.length - this.#wanted.length;
    this.#wanted = hostnames;
    for (const hostname of this.#elsewhere.keys()) if (!hostnames.includes(hostname)) this.#elsewhere.delete(hostname);
  }

  /** It counts for its owner no more. */
  leaveTally(): void {
    const count = this.#held.length + this.#moved.length + this.#wanted.length;
    this.#tally.count -= count;
    this.#tally = { count };
  }

  /** The registry says where one of its names is, or (null) that nobody holds it. */
  heard(hostname: string, record: RegistryRecord | null): void {
    const known = this.#elsewhere.get(hostname);
    // Said before what is known, and come later.
    if (record !== null && known !== undefined && record.epoch < known.epoch) return;
    const isOwn = record?.clientId === this.clientId && record.ownerId === this.identity.ownerId;
    if (record !== null && isOwn && this.#wanted.includes(hostname)) this.#elsewhere.set(hostname, record);
    else this.#elsewhere.delete(hostname);
  }

  /**
   * Its names at hubs that are gone: nobody else renews them, or takes them back.
   *
   * @param isGone Of a node.
   */
  orphans(isGone: (nodeId: string) => boolean): readonly Holding[] {
    if (this.#elsewhere.size === 0) return [];
    return [...this.#elsewhere.values()].filter(({ nodeId }) => isGone(nodeId));
  }

  /** Whether it still has the name over another hub at that epoch, as far as is known, and is served here. */
  isServed({ hostname, epoch }: Holding): boolean {
    const isHere = this.link !== null && !this.isLeaving && this.ended === null;
    return isHere && this.#elsewhere.get(hostname)?.epoch === epoch;
  }

  /** Those that it has over another hub. */
  get namesElsewhere(): readonly string[] {
    return [...this.#elsewhere.keys()];
  }

  get isLive(): boolean {
    return this.session?.isLive === true;
  }

  /** Whether somebody is at the other end, or was a moment ago: not one that vanished and may never come back. */
  get isPresent(): boolean {
    return this.control !== null || this.link !== null;
  }

  /** Hostnames that it holds, asks for, has just given up, or has over another hub by now. */
  get hostnames(): readonly string[] {
    const known = [...this.held, ...this.moved].map(({ hostname }) => hostname);
    return [...new Set([...known, ...this.wanted])];
  }

  /** Runs `work` after what came before it: two dialers must not undo each other's registrations. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }
}
