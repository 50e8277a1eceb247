// What clients say on control, and what they are answered. Who they are and what becomes of them is others' to know.

import {
  asDuplexityError,
  type ClientDisconnectRequest,
  type ClosePipesRequest,
  type ControlMessage,
  type DiscoveryRequest,
  DuplexityError,
  GATES_FEATURE,
  MAX_PACKET_BYTES,
  RELAY_FEATURE,
  type TokenRefresh,
} from "../../protocol/index.ts";
import type { ClientRecord } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import type { ControlSocket } from "./control-socket.ts";
import type { Doors } from "./doors.ts";
import { highestCommon } from "./handshake.ts";
import type { HubOptions } from "./hub-options.ts";
import type { Lives } from "./lives.ts";
import { hostnamesOf } from "./owner-pipes.ts";
import type { TicketStore } from "./tickets.ts";
import { checkNewcomer } from "./turnstile.ts";

export interface ControlMessagesOptions
  extends Pick<HubOptions, "nodeId" | "domain" | "software" | "dataPlaneUri" | "limits" | "cluster" | "load"> {
  readonly clients: ClientTable;
  readonly tickets: TicketStore;
  readonly doors: Doors;
  readonly lives: Lives;
  /** Whether this node takes no new clients any more. */
  isDraining(): boolean;
  log(level: "info", message: string): void;
}

export class ControlMessages {
  readonly #options: ControlMessagesOptions;

  constructor(options: ControlMessagesOptions) {
    this.#options = options;
  }

  /** @throws {DuplexityError} what the socket is to be refused with. */
  receive(control: ControlSocket, message: ControlMessage): void {
    switch (message.type) {
      case "discoveryRequest":
        this.#discover(control, message);
        return;
      case "closePipesRequest":
        this.#closePipes(control, message);
        return;
      case "clientDisconnectRequest":
        this.#goodbye(control, message);
        return;
      case "tokenRefresh":
        void this.#refresh(control, message);
        return;
      default:
        throw new DuplexityError("DPX_PROTOCOL", `A client does not send ${message.type} on control`);
    }
  }

  /** The socket is gone, and with it its ticket. */
  closed(control: ControlSocket): void {
    const { tickets, lives } = this.#options;
    tickets.drop(control);
    const client = this.#clientOf(control);
    if (client?.control !== control) return;
    client.control = null;
    lives.dropIfUnused(client);
  }

  #discover(control: ControlSocket, message: DiscoveryRequest): void {
    const { clientId } = message;
    const protocolVersion = highestCommon(message.protocolVersions);
    if (control.clientId !== null && control.clientId !== clientId) {
      const why = `this socket is for "${control.clientId}"`;
      throw new DuplexityError("DPX_CLIENT_ID", `Cannot take the clientId "${clientId}": ${why}`);
    }
    const { clients, doors } = this.#options;
    const farewell = clients.farewellFor(clientId);
    if (farewell !== null) {
      control.send(farewell);
      control.close(farewell.code, farewell.reason);
      return;
    }
    if (clients.get(clientId) === null) checkNewcomer(message, this.#options);
    doors.checkClient(control.identity, clientId);
    const client = clients.admit(clientId, control.identity);
    control.identify(clientId);
    const previous = client.control;
    if (previous !== control) {
      client.control = control;
      // The newest proof counts: it may end later.
      client.identity = control.identity;
      previous?.close("DPX_LINK_LOST", "A newer control socket took its place");
    }
    this.#answerDiscovery(control, client, protocolVersion);
  }

  #answerDiscovery(control: ControlSocket, client: ClientRecord, protocolVersion: number): void {
    const { clientId } = client;
    const { nodeId, software, domain, limits, dataPlaneUri, tickets, clients, cluster = null } = this.#options;
    const { identity } = control;
    control.send({
      type: "discoveryResponse",
      dataPlaneUri: dataPlaneUri(control.host),
      alternatives: cluster?.alternatives() ?? [],
      protocolVersion,
      nodeId,
      software,
      domain,
      owner: identity.ownerName,
      ticket: tickets.issue({ clientId, identity, control }),
      ticketTtlMs: tickets.ttlMs,
      heartbeat: { idleMs: limits.heartbeatIdleMs, timeoutMs: limits.heartbeatTimeoutMs },
      resumeWindowMs: limits.resumeWindowMs,
      ...(cluster === null ? {} : { moveDelayMs: clients.moveDelayMs(client, cluster.nodeIds().length) }),
      limits: { maxPipes: limits.maxPipes, maxStreams: limits.maxStreams, maxPacketBytes: MAX_PACKET_BYTES },
      features: cluster === null ? [GATES_FEATURE] : [GATES_FEATURE, RELAY_FEATURE],
    });
  }

  /** A fresh proof before the old one ends: links and sessions go on as they are. */
  async #refresh(control: ControlSocket, { token }: TokenRefresh): Promise<void> {
    const client = this.#clientOf(control);
    const { doors, lives } = this.#options;
    try {
      if (client === null) throw new DuplexityError("DPX_PROTOCOL", "A tokenRefresh came before a discoveryRequest");
      client.refreshes += 1;
      const refresh = client.refreshes;
      const identity = await doors.refresh(client, token);
      // Another one came meanwhile, or the socket it came on has lost its place.
      if (client.refreshes !== refresh || client.control !== control) return;
      control.identity = identity;
      client.identity = identity;
    } catch (error) {
      const refusal = asDuplexityError(error);
      if (client !== null && refusal.code === "DPX_BANNED") void lives.end(client, refusal);
      control.refuse(refusal);
    }
  }

  #closePipes(control: ControlSocket, message: ClosePipesRequest): void {
    const client = this.#clientBehind(control, message.clientId);
    const { clientId } = client;
    const { domain, lives } = this.#options;
    void lives.closePipes(client, message.names, hostnamesOf(message.names, domain)).then((names) => {
      if (names.length > 0) {
        this.#options.log("info", `${clientId} of ${client.identity.ownerName} closes ${names.join(", ")}`);
      }
      // No more of them than its dialRequest held: it fits into a message.
      control.send({ type: "pipesAreClosedResponse", clientId, names });
    });
  }

  #goodbye(control: ControlSocket, message: ClientDisconnectRequest): void {
    const client = this.#clientBehind(control, message.clientId);
    this.#options.log("info", `${client.clientId} of ${client.identity.ownerName} leaves: ${message.reason}`);
    this.#options.lives.leave(client);
  }

  #clientBehind(control: ControlSocket, clientId: string): ClientRecord {
    const client = this.#clientOf(control);
    if (client?.clientId === clientId) return client;
    throw new DuplexityError("DPX_CLIENT_ID", `Cannot act for the client "${clientId}": this socket is not its own`);
  }

  #clientOf({ clientId }: ControlSocket): ClientRecord | null {
    return clientId === null ? null : this.#options.clients.get(clientId);
  }
}
