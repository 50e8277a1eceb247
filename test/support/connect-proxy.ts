// A corporate HTTP proxy: tunnels CONNECT, refuses everything else, and remembers what was asked.

import { createServer } from "node:http";
import { connect } from "node:net";
import { closeWithSockets, listen } from "./sockets.ts";
import type { Stage } from "./stage.ts";

export interface ConnectProxy {
  readonly url: string;
  /** `host:port` of each CONNECT. */
  readonly asked: string[];
}

export async function startConnectProxy(stage: Stage): Promise<ConnectProxy> {
  const asked: string[] = [];
  const server = createServer((_request, response) => response.writeHead(403).end("CONNECT only"));
  server.on("connect", (request, near, head) => {
    asked.push(request.url ?? "");
    const [host, port] = (request.url ?? "").split(":");
    // Names that only the proxy knows lead to this machine.
    const far = connect(Number(port), host === "tunnel.test" ? "127.0.0.1" : (host ?? ""));
    near.on("error", () => far.destroy());
    far.on("error", () => near.destroy());
    far.on("connect", () => {
      near.write("HTTP/1.1 200 Connection established\r\n\r\n");
      far.write(head);
      near.pipe(far).pipe(near);
    });
  });
  closeWithSockets(stage, server);
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}`, asked };
}
