// The beginning of a `/dialer` WebSocket: the upgrade, and the one text in which
// the client says who it is and what it wants. Then it is the session's.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import {
  acceptUpgrade,
  asDuplexityError,
  closeReason,
  type DialRequest,
  DuplexityError,
  decodeMessage,
  ERRORS,
  MAX_MESSAGE_BYTES,
  MAX_PACKET_BYTES,
  WebSocketConnection,
} from "../../protocol/index.ts";
import type { LobbyPlace } from "./lobby.ts";

export interface DialerOptions {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly place: LobbyPlace;
  /** Whose ticket it came with. */
  readonly clientId: string;
  /** For whom its attempts to register count. */
  readonly attemptKeys: readonly string[];
  /** The first message came and is a dialRequest. What it throws is what the dialer is refused with. */
  onDial(dialer: DialerSocket, message: DialRequest): void;
  /** The socket closed before it was given to a link. */
  onClose(dialer: DialerSocket): void;
}

/** A client's link starts at once: its pings come while its pipes are being registered. */
const MAX_EARLY_BYTES = 65_536;
const MAX_EARLY_PACKETS = 64;

export class DialerSocket {
  readonly connection: WebSocketConnection;
  readonly clientId: string;
  readonly attemptKeys: readonly string[];
  /** Whether it still waits: neither closed nor given to a link. */
  isWaiting = true;
  readonly #options: DialerOptions;
  #hasDialled = false;
  #early: Buffer[] = [];
  #earlyBytes = 0;

  /** @throws {DuplexityError} what `acceptUpgrade` throws: nothing was answered then. */
  constructor(options: DialerOptions) {
    this.#options = options;
    this.clientId = options.clientId;
    this.attemptKeys = options.attemptKeys;
    const { request, socket, head, place } = options;
    acceptUpgrade(request, socket);
    this.connection = new WebSocketConnection(socket, {
      role: "server",
      maxMessageBytes: MAX_PACKET_BYTES,
      maxTextBytes: MAX_MESSAGE_BYTES,
      head,
    });
    this.connection.handler = {
      onText: (text) => this.#receive(text),
      onBinary: (first, rest) => this.#keep(first, rest),
      onDrain: () => {},
      onClose: () => this.#close(),
    };
    place.onExpire = (error) => this.refuse(error);
    place.restart();
  }

  /** Closes it and says why. */
  refuse(error: DuplexityError): void {
    if (!this.isWaiting) return;
    const { code, message } = error;
    this.connection.close(ERRORS[code].closeCode, closeReason(code, message));
    this.#close();
  }

  /** From now on the connection is a link's, which `take` makes; it is given the packets that came before. */
  give<T>(take: (connection: WebSocketConnection) => T): T {
    this.isWaiting = false;
    const taken = take(this.connection);
    for (const packet of this.#early) this.connection.handler.onBinary(packet, []);
    this.#early = [];
    return taken;
  }

  #keep(first: Buffer, rest: readonly Buffer[]): void {
    if (!this.isWaiting) return;
    const packet = rest.length === 0 ? first : Buffer.concat([first, ...rest]);
    this.#early.push(packet);
    this.#earlyBytes += packet.length;
    const isTooMuch = this.#earlyBytes > MAX_EARLY_BYTES || this.#early.length > MAX_EARLY_PACKETS;
    if (!this.#hasDialled) this.refuse(new DuplexityError("DPX_PROTOCOL", "A packet came before the dialRequest"));
    else if (isTooMuch)
      this.refuse(new DuplexityError("DPX_PROTOCOL", "Too much came before the pipes were registered"));
  }

  #receive(text: string): void {
    if (!this.isWaiting) return;
    try {
      if (this.#hasDialled) throw new DuplexityError("DPX_PROTOCOL", "A second text came on a dialer");
      const message = decodeMessage(text);
      if (message?.type !== "dialRequest") {
        throw new DuplexityError(
          "DPX_PROTOCOL",
          `The first message on a dialer is a dialRequest, not ${message?.type ?? "this"}`,
        );
      }
      this.#hasDialled = true;
      this.#options.place.leave();
      this.#options.onDial(this, message);
    } catch (error) {
      this.refuse(asDuplexityError(error));
    }
  }

  #close(): void {
    if (!this.isWaiting) return;
    this.isWaiting = false;
    this.#early = [];
    this.#options.place.leave();
    this.#options.onClose(this);
  }
}
