// One-use tickets that tie a dialer to the control socket that asked for it.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { type Identity, isSameProver } from "../identity/index.ts";
import type { ControlSocket } from "./control-socket.ts";

/** 192 bits: nobody guesses one. */
const TICKET_BYTES = 24;

/** Behind the node's id. */
const NODE_MARK = ".";

/** The node whose ticket it is; null if it does not say. */
export function nodeOfTicket(id: string): string | null {
  const end = id.lastIndexOf(NODE_MARK);
  return end > 0 ? id.slice(0, end) : null;
}

export interface Ticket {
  readonly clientId: string;
  readonly identity: Identity;
  readonly control: ControlSocket;
}

interface Issued extends Ticket {
  readonly ends: number;
}

/** Bounded by the control sockets: each has one ticket at most. */
export class TicketStore {
  readonly ttlMs: number;
  readonly #now: () => number;
  readonly #prefix: string;
  readonly #tickets = new Map<string, Issued>();
  readonly #ofControl = new Map<ControlSocket, string>();

  /**
   * @param ttlMs How long a ticket is good for.
   * @param nodeId What a ticket says of where it is good; null: nothing.
   * @param now Monotonic time in ms.
   */
  constructor(ttlMs: number, nodeId: string | null = null, now: () => number = () => performance.now()) {
    this.ttlMs = ttlMs;
    this.#now = now;
    this.#prefix = nodeId === null ? "" : `${nodeId}${NODE_MARK}`;
  }

  get size(): number {
    return this.#tickets.size;
  }

  /** A new ticket; the one that the same control socket had before is void. */
  issue(ticket: Ticket): string {
    this.drop(ticket.control);
    const id = `${this.#prefix}${randomBytes(TICKET_BYTES).toString("base64url")}`;
    this.#tickets.set(id, { ...ticket, ends: this.#now() + this.ttlMs });
    this.#ofControl.set(ticket.control, id);
    return id;
  }

  /**
   * Uses a ticket up.
   *
   * @throws {DuplexityError} `DPX_TICKET_INVALID` if it is unknown, used, late or another identity's.
   */
  redeem(id: string | undefined, identity: Identity): Ticket {
    const ticket = id === undefined ? undefined : this.#tickets.get(id);
    if (ticket === undefined) throw invalid(id === undefined ? "there is none" : "it is unknown or was used");
    this.drop(ticket.control);
    if (ticket.ends <= this.#now()) throw invalid(`it is older than ${this.ttlMs / 1_000} s`);
    if (!isSameProver(ticket.identity, identity)) throw invalid("it was given to somebody else");
    return ticket;
  }

  /** The control socket is gone, and with it its ticket. */
  drop(control: ControlSocket): void {
    const id = this.#ofControl.get(control);
    if (id === undefined) return;
    this.#ofControl.delete(control);
    this.#tickets.delete(id);
  }
}

function invalid(why: string): DuplexityError {
  return new DuplexityError("DPX_TICKET_INVALID", `Cannot take the dial ticket: ${why}`, {
    hint: "Send another discoveryRequest.",
  });
}
