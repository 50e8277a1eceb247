// The `/control` WebSockets of this hub, from their upgrade to their end. What is said on them goes to who reads it.

import { WebSocket, WebSocketServer } from "ws";
import { DuplexityError, type Heartbeat, MAX_MESSAGE_BYTES, reasonOfFault, SUBPROTOCOL } from "../../protocol/index.ts";
import { ControlSocket, type ControlSocketOptions } from "./control-socket.ts";
import type { HubUpgrade } from "./hub-options.ts";

export interface ControlSocketsOptions extends Pick<ControlSocketOptions, "onMessage" | "onClose"> {
  readonly heartbeat: Heartbeat;
}

/** ws ends a socket by itself whose bytes it cannot read: with a code alone, which says too little. */
class ControlWebSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? reasonOfFault(code));
  }
}

export class ControlSockets {
  readonly #options: ControlSocketsOptions;
  readonly #sockets = new Set<ControlSocket>();
  readonly #upgrades = new WebSocketServer({
    noServer: true,
    WebSocket: ControlWebSocket,
    clientTracking: false,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    allowSynchronousEvents: true,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols: () => SUBPROTOCOL,
  });

  constructor(options: ControlSocketsOptions) {
    this.#options = options;
    // Emitted within `handleUpgrade`: left alone, ws would answer by itself, without a code.
    this.#upgrades.on("wsClientError", ({ message }) => {
      throw new DuplexityError("DPX_PROTOCOL", `Cannot upgrade to a WebSocket: ${message}`);
    });
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** @throws {DuplexityError} `DPX_PROTOCOL`: nothing was answered then. */
  accept({ request, socket, head, identity, place }: HubUpgrade): void {
    // The closures below live as long as the socket: they must not hold the request.
    const host = request.headers.host ?? "";
    this.#upgrades.handleUpgrade(request, socket, head, (webSocket) => {
      const { heartbeat, onMessage, onClose } = this.#options;
      const control = new ControlSocket(webSocket, {
        ...{ identity, host, place, heartbeat, onMessage },
        onClose: (closed, error) => {
          this.#sockets.delete(closed);
          onClose(closed, error);
        },
      });
      this.#sockets.add(control);
    });
  }

  close({ code, message }: DuplexityError): void {
    for (const control of [...this.#sockets]) control.close(code, message);
    this.#upgrades.close();
  }
}
