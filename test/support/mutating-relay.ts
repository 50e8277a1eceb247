// Stands between client and server as a reverse proxy for WebSockets and changes packets on their way, in either
// direction: each end then has a peer that lies.

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { seededRandom } from "./seeded.ts";
import { closeWithSockets } from "./sockets.ts";
import type { Stage } from "./stage.ts";

export class MutatingRelay {
  /** How many of the next packets are changed, by direction. */
  towardsClient = 0;
  towardsServer = 0;
  /** Packets changed so far. */
  mutated = 0;
  port = 0;
  targetPort: number;
  readonly #random: () => number;

  constructor(targetPort: number, seed: number) {
    this.targetPort = targetPort;
    this.#random = seededRandom(seed);
  }

  static async start(stage: Stage, targetPort: number, seed: number): Promise<MutatingRelay> {
    const relay = new MutatingRelay(targetPort, seed);
    const server = createServer((_request, response) => response.writeHead(404).end());
    const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 1_048_576 });
    server.on("upgrade", (request, socket, head) => {
      const far = relay.#dial(request);
      far.once("open", () => webSockets.handleUpgrade(request, socket, head, (near) => relay.#join(near, far)));
      far.once("unexpected-response", () => socket.destroy());
      far.on("error", () => socket.destroy());
      socket.on("error", () => far.terminate());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    relay.port = (server.address() as AddressInfo).port;
    closeWithSockets(stage, server);
    return relay;
  }

  #dial({ url = "/", headers }: IncomingMessage): WebSocket {
    const { host = "", authorization = "" } = headers;
    const ticket = headers["duplexity-ticket"];
    const far = new WebSocket(`ws://127.0.0.1:${this.targetPort}${url}`, ["duplexity.v1"], {
      headers: { host, authorization, ...(typeof ticket === "string" ? { "duplexity-ticket": ticket } : {}) },
      perMessageDeflate: false,
      maxPayload: 1_048_576,
    });
    return far;
  }

  #join(near: WebSocket, far: WebSocket): void {
    this.#pass(far, near, "towardsClient");
    this.#pass(near, far, "towardsServer");
  }

  #pass(from: WebSocket, to: WebSocket, direction: "towardsClient" | "towardsServer"): void {
    from.on("message", (data: Buffer, isBinary: boolean) => {
      const isHit = isBinary && this[direction] > 0;
      if (isHit) this[direction] -= 1;
      if (to.readyState === WebSocket.OPEN) to.send(isHit ? this.#mutate(data) : data, { binary: isBinary });
    });
    from.on("error", () => {});
    from.on("close", () => to.terminate());
  }

  #mutate(packet: Buffer): Buffer {
    this.mutated += 1;
    const choice = this.#random();
    const changed = Buffer.from(packet);
    if (choice < 0.15) return changed.subarray(0, Math.floor(this.#random() * changed.length));
    if (choice < 0.25) return Buffer.concat([changed, changed.subarray(0, 40)]);
    // Mostly in the headers: bytes of a body may be anything.
    for (let change = 0; change < 3; change += 1) {
      const at = Math.floor(this.#random() * Math.min(changed.length, 48));
      changed[at] = choice < 0.6 ? Math.floor(this.#random() * 256) : (changed[at] ?? 0) ^ 1;
    }
    return changed;
  }
}
