// One `/control` WebSocket: checked messages in, messages out, liveness, rate.
// Knows no clients; what a message means is the hub's business.

import type { RawData, WebSocket } from "ws";
import {
  asDuplexityError,
  type ControlMessage,
  closeReason,
  DuplexityError,
  decodeMessage,
  ERRORS,
  type ErrorCode,
  encodeMessage,
  type Heartbeat,
  Liveness,
} from "../../protocol/index.ts";
import type { Identity } from "../identity/index.ts";
import { outwardOf } from "../outward.ts";
import type { LobbyPlace } from "./lobby.ts";
import { RateBound } from "./rate.ts";

/** Messages that may come at once, and in a second in the long run: a client that works sends one a link. */
export const CONTROL_BURST = 32;
export const CONTROL_PER_SECOND = 4;
/** A client that does not read its messages is cut when so much waits for it. */
export const MAX_CONTROL_QUEUE_BYTES = 262_144;
/** How long the peer may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 2_000;

export interface ControlSocketOptions {
  readonly identity: Identity;
  /** The `Host` at which the client has reached this server. */
  readonly host: string;
  readonly heartbeat: Heartbeat;
  /** Is left when the client has said who it is. */
  readonly place: LobbyPlace;
  onMessage(control: ControlSocket, message: ControlMessage): void;
  /** The socket is of no more use, for whatever reason. At most once. */
  onClose(control: ControlSocket, error: DuplexityError): void;
}

export class ControlSocket {
  /** Who is behind it, by the proof that was shown last. */
  identity: Identity;
  readonly host: string;
  #clientId: string | null = null;
  readonly #socket: WebSocket;
  readonly #options: ControlSocketOptions;
  readonly #rate = new RateBound(CONTROL_BURST, CONTROL_PER_SECOND);
  #isOpen = true;
  readonly #liveness: Liveness;

  constructor(socket: WebSocket, options: ControlSocketOptions) {
    this.identity = options.identity;
    this.host = options.host;
    this.#socket = socket;
    this.#options = options;
    socket.on("message", (data: RawData, isBinary: boolean) => this.#receive(data, isBinary));
    socket.on("ping", () => this.#liveness.heard());
    socket.on("pong", () => this.#liveness.heard());
    socket.on("error", () => this.#finish(new DuplexityError("DPX_LINK_LOST", "The control socket broke")));
    socket.on("close", (code) =>
      this.#finish(new DuplexityError("DPX_LINK_LOST", `The control socket closed with ${code}`)),
    );
    this.#liveness = new Liveness({
      heartbeat: options.heartbeat,
      ping: () => socket.ping(),
      dead: (silentMs) =>
        this.#drop(`Nothing came on control for ${Math.round(silentMs / 1_000)} s, a ping stayed unanswered`),
    });
    const { place } = options;
    place.onExpire = (error) => this.refuse(error);
    place.restart();
  }

  /** Who it is for; null until it has been told. */
  get clientId(): string | null {
    return this.#clientId;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Its client has said who it is. */
  identify(clientId: string): void {
    this.#clientId = clientId;
    this.#options.place.leave();
  }

  send(message: ControlMessage): void {
    if (!this.#isOpen) return;
    this.#socket.send(encodeMessage(message));
    if (this.#socket.bufferedAmount > MAX_CONTROL_QUEUE_BYTES)
      this.#drop("The client does not read its control socket");
  }

  /** Says why in an `error` message, then closes. */
  refuse(error: DuplexityError): void {
    const { code, message, hint, retryAfterMs, elsewhere } = outwardOf(error);
    this.send({
      ...{ type: "error", code, message },
      ...(hint === undefined ? {} : { hint }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(elsewhere.length === 0 ? {} : { dataPlaneUris: elsewhere }),
    });
    this.close(code, message);
  }

  /** Closes in bounded time, whether the peer answers or not. */
  close(code: ErrorCode, message: string): void {
    if (!this.#isOpen) return;
    const socket = this.#socket;
    socket.close(ERRORS[code].closeCode, closeReason(code, message));
    const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
    socket.once("close", () => clearTimeout(timer));
    this.#finish(new DuplexityError(code, message));
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#liveness.heard();
    if (!this.#isOpen) return;
    try {
      if (!this.#rate.take()) {
        const most = `${CONTROL_BURST} at once and ${CONTROL_PER_SECOND} a second`;
        throw new DuplexityError("DPX_CONTROL_RATE", `Too many control messages, allowed are ${most}`);
      }
      if (isBinary || !Buffer.isBuffer(data))
        throw new DuplexityError("DPX_PROTOCOL", "A binary message came on control");
      const message = decodeMessage(data.toString("utf8"));
      if (message !== null) this.#options.onMessage(this, message);
    } catch (error) {
      this.refuse(asDuplexityError(error));
    }
  }

  #drop(why: string): void {
    this.#socket.terminate();
    this.#finish(new DuplexityError("DPX_LINK_DEAD", why));
  }

  #finish(error: DuplexityError): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#liveness.stop();
    this.#options.place.leave();
    this.#options.onClose(this, error);
  }
}
