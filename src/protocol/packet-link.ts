// A link over a WebSocket of our own: packets out, packets in, and the end of it told once.

import { closeReason, errorOfClose } from "./close-reason.ts";
import { DuplexityError, ERRORS, type ErrorCode } from "./errors.ts";
import { LINK_LOW_WATER_BYTES, type Link, type LinkHandler } from "./link.ts";
import type { OutgoingPacket } from "./packet-builder.ts";
import type { WebSocketConnection, WebSocketHandler } from "./websocket-connection.ts";

const DEAF: LinkHandler = { onPacket() {}, onDrain() {}, onClose() {} };

/**
 * Takes over a connection.
 *
 * @param onText What to do with a text. Left out: none is expected, and one closes the link with DPX_PROTOCOL.
 */
export function createPacketLink(connection: WebSocketConnection, onText?: (text: string) => void): Link {
  return new PacketLink(connection, onText);
}

class PacketLink implements Link, WebSocketHandler {
  handler: LinkHandler = DEAF;
  readonly #connection: WebSocketConnection;
  readonly #onText: ((text: string) => void) | undefined;
  #isClosed = false;

  constructor(connection: WebSocketConnection, onText: ((text: string) => void) | undefined) {
    this.#connection = connection;
    this.#onText = onText;
    connection.handler = this;
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  send(packet: OutgoingPacket): void {
    this.#connection.sendBinary(packet.parts, packet.byteLength);
  }

  close(code: ErrorCode, reason: string): void {
    if (this.#isClosed) return;
    this.#connection.close(ERRORS[code].closeCode, closeReason(code, reason));
    // A peer that is gone would not answer: nothing waits for it.
    this.#closed(new DuplexityError(code, reason));
  }

  abort(error: DuplexityError): void {
    if (this.#isClosed) return;
    // First: what the connection tells of its end would hide why it was dropped.
    this.#closed(error);
    this.#connection.terminate();
  }

  onText(text: string): void {
    if (this.#isClosed) return;
    if (this.#onText === undefined) this.close("DPX_PROTOCOL", "A text came on a link that carries packets");
    else this.#onText(text);
  }

  onBinary(message: Buffer, rest: readonly Buffer[]): void {
    if (!this.#isClosed) this.handler.onPacket(message, rest);
  }

  onDrain(): void {
    if (!this.#isClosed && this.bufferedBytes <= LINK_LOW_WATER_BYTES) this.handler.onDrain();
  }

  onClose(code: number, reason: string): void {
    this.#closed(errorOfClose(code, reason));
  }

  #closed(error: DuplexityError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.handler.onClose(error);
  }
}
