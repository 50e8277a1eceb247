// A local service behind the tunnel, in the test's own process: known bytes, digests of what came, events, a WebSocket
// echo, and a log of every request that really reached it.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { seededChunks, sha256 } from "./seeded.ts";
import { closeWithSockets } from "./sockets.ts";
import type { Stage } from "./stage.ts";

export interface HttpOrigin {
  readonly port: number;
  /** `localhost:9090`: the part after `NAME:` in --pipe. */
  readonly target: string;
  /** `METHOD path` of each request whose head arrived, in order. */
  readonly seen: string[];
  /** How often each `?id=` arrived at `/count`. */
  readonly counts: Map<string, number>;
  /** Open event streams, so that a test can send on them. */
  readonly events: Set<ServerResponse>;
  /** Resolves with the next event stream that opens. */
  nextEventStream(): Promise<ServerResponse>;
}

/**
 * Routes: `/hello`, `/bytes/SIZE?seed=N`, `POST /sha256`, `POST /echo`, `/headers`, `/count?id=…[&after=MS]`, `/events`,
 * `/ticks?every=MS` (events numbered from 0, for ever), `/never` (no answer), `/status/NNN`, and a WebSocket echo on every upgrade.
 */
export async function startHttpOrigin(stage: Stage, text = "hello", atPort = 0): Promise<HttpOrigin> {
  const seen: string[] = [];
  const counts = new Map<string, number>();
  const events = new Set<ServerResponse>();
  const waiting: ((response: ServerResponse) => void)[] = [];

  const routes: Record<string, (request: IncomingMessage, response: ServerResponse, url: URL) => unknown> = {
    hello: (_request, response) => response.end(text),
    bytes: (_request, response, url) => sendBytes(response, url),
    sha256: (request, response) => digest(request, response),
    echo: (request, response) => {
      const type = request.headers["content-type"];
      if (type !== undefined) response.setHeader("content-type", type);
      request.pipe(response);
    },
    headers: (request, response) => response.end(JSON.stringify(request.rawHeaders)),
    count: (request, response, url) => {
      const id = url.searchParams.get("id") ?? "";
      const times = (counts.get(id) ?? 0) + 1;
      counts.set(id, times);
      request.resume();
      const afterMs = Number(url.searchParams.get("after") ?? 0);
      if (afterMs === 0) response.end(`${id} ${times}`);
      else setTimeout(() => response.end(`${id} ${times}`), afterMs);
    },
    events: (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
      response.write(": open\n\n");
      events.add(response);
      response.on("close", () => events.delete(response));
      for (const tell of waiting.splice(0)) tell(response);
    },
    ticks: (_request, response, url) => sendTicks(response, Number(url.searchParams.get("every"))),
    never: () => {},
    status: (_request, response, url) => {
      response.statusCode = Number(url.pathname.split("/")[2]);
      response.end();
    },
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const address = `http://origin${request.url ?? "/"}`;
    const url = new URL(URL.canParse(address) ? address : "http://origin/none");
    seen.push(`${request.method} ${request.url}`);
    const route = routes[url.pathname.split("/")[1] ?? ""];
    if (route) route(request, response, url);
    else response.writeHead(404).end("no such route");
  });
  const sockets = new WebSocketServer({ server, maxPayload: 64 * 1024 * 1024, perMessageDeflate: false });
  sockets.on("connection", (socket: WebSocket) => {
    socket.on("error", () => {});
    socket.on("message", (message: Buffer, isBinary: boolean) => socket.send(message, { binary: isBinary }));
  });
  await new Promise<void>((resolve) => server.listen(atPort, "127.0.0.1", 1024, () => resolve()));
  closeWithSockets(stage, server);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    target: `127.0.0.1:${port}`,
    seen,
    counts,
    events,
    nextEventStream: () => new Promise((resolve) => waiting.push(resolve)),
  };
}

function sendTicks(response: ServerResponse, everyMs: number): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  let number = 0;
  const tick = (): void => {
    response.write(`data: ${number}\n\n`);
    number += 1;
  };
  tick();
  const timer = setInterval(tick, everyMs);
  response.on("close", () => clearInterval(timer));
}

async function sendBytes(response: ServerResponse, url: URL): Promise<void> {
  const size = Number(url.pathname.split("/")[2]);
  response.writeHead(200, { "content-length": size, "content-type": "application/octet-stream" });
  for (const chunk of seededChunks(Number(url.searchParams.get("seed") ?? 1), size)) {
    if (response.destroyed) return;
    if (!response.write(chunk)) await drained(response);
  }
  response.end();
}

/** Resolves when there is room again, or nobody reads any more. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

async function digest(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = sha256();
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  request.on("end", () => response.end(JSON.stringify({ bytes, sha256: hash.digest("hex") })));
}
