// The `/dialer` WebSockets that are no link yet: who may bring one, and whose it is. What it asks for is seen to elsewhere.

import type { IncomingMessage } from "node:http";
import { asDuplexityError, type DialRequest, DuplexityError, TICKET_HEADER } from "../../protocol/index.ts";
import type { ClientRecord } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import { DialerSocket } from "./dialer-socket.ts";
import type { Doors } from "./doors.ts";
import type { HubUpgrade } from "./hub-options.ts";
import { nodeOfTicket, type Ticket, type TicketStore } from "./tickets.ts";

export interface DialerSocketsOptions {
  readonly clients: ClientTable;
  readonly tickets: TicketStore;
  readonly doors: Doors;
  /** What becomes of a dialer that has said what it wants. Resolves when it is a link or closed. */
  dial(dialer: DialerSocket, client: ClientRecord, message: DialRequest): Promise<void>;
  log(level: "error", message: string): void;
}

/** The node that gave out the ticket of a request for `/dialer`; null if it does not say. */
export function ticketNode(request: IncomingMessage): string | null {
  const header = request.headers[TICKET_HEADER];
  return typeof header === "string" ? nodeOfTicket(header) : null;
}

export class DialerSockets {
  readonly #options: DialerSocketsOptions;
  readonly #sockets = new Set<DialerSocket>();

  constructor(options: DialerSocketsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** @throws {DuplexityError} `DPX_TICKET_INVALID`, `DPX_BANNED`, or what `acceptUpgrade` throws: nothing was answered then. */
  accept(upgrade: HubUpgrade): void {
    const { request, identity, sender } = upgrade;
    const { tickets, doors } = this.#options;
    const header = request.headers[TICKET_HEADER];
    const ticket = tickets.redeem(typeof header === "string" ? header : undefined, identity);
    const { clientId } = ticket;
    doors.checkClient(identity, clientId);
    const dialer = new DialerSocket({
      ...upgrade,
      clientId,
      attemptKeys: sender === null ? [identity.ownerId] : [sender, identity.ownerId],
      onDial: (dialled, message) => this.#dial(dialled, ticket, message),
      onClose: (closed) => this.#sockets.delete(closed),
    });
    this.#sockets.add(dialer);
  }

  /** Those of a client that is no more: they have said nothing yet, or wait for their turn. */
  refuseOf({ clientId }: ClientRecord, error: DuplexityError): void {
    for (const dialer of this.#sockets) if (dialer.clientId === clientId) dialer.refuse(error);
  }

  close(error: DuplexityError): void {
    for (const dialer of [...this.#sockets]) dialer.refuse(error);
  }

  #dial(dialer: DialerSocket, ticket: Ticket, message: DialRequest): void {
    const { doors, dial, log } = this.#options;
    const client = this.#clientOf(ticket, message.clientId);
    doors.checkClient(client.identity, client.clientId);
    void dial(dialer, client, message)
      .catch((error: unknown) => {
        log("error", `The dialer of ${client.clientId} failed: ${asDuplexityError(error).message}`);
        dialer.refuse(new DuplexityError("DPX_INTERNAL", "The server failed to take the dialer"));
      })
      .finally(() => this.#sockets.delete(dialer));
  }

  #clientOf(ticket: Ticket, clientId: string): ClientRecord {
    const client = this.#options.clients.get(clientId);
    if (clientId === ticket.clientId && client !== null && client.control === ticket.control) return client;
    const why = clientId === ticket.clientId ? "its control socket is gone" : "its ticket is another client's";
    throw new DuplexityError("DPX_TICKET_INVALID", `Cannot take the dialer: ${why}`);
  }
}
