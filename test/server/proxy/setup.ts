// A proxy on a real listener with fake routes, and what tests do with both.

import { createServer, type Socket } from "node:net";
import { createProxy, type ProxyOptions, type VisitorProxy } from "../../../src/server/proxy/index.ts";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import type { Stage } from "../../support/stage.ts";
import { RawVisitor } from "../../support/visitor.ts";
import { poll } from "../../support/wait.ts";
import { FakeRoutes } from "./fake-routes.ts";

export interface ProxyStage {
  readonly proxy: VisitorProxy;
  readonly port: number;
  readonly routes: FakeRoutes;
  /** Sockets that were given to the server's own endpoints, with what was read of them. */
  readonly own: { socket: Socket; head: string }[];
  visitor(): Promise<RawVisitor>;
  /** Waits until nothing is open, held or counted any more; idle streams may stay. */
  settled(): Promise<void>;
}

export async function startProxy(stage: Stage, options: Partial<ProxyOptions> = {}): Promise<ProxyStage> {
  const routes = new FakeRoutes(stage);
  const own: { socket: Socket; head: string }[] = [];
  const proxy = createProxy({
    routes,
    domain: "example.test",
    nodeId: "n1",
    publicScheme: "http",
    publicPort: 80,
    serveOwn: (socket, head) => {
      own.push({ socket, head: head.toString("latin1") });
      socket.on("error", () => {});
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nown");
    },
    ...options,
  });
  const server = createServer({ noDelay: true }, (socket) => proxy.handleConnection(socket));
  stage.defer(() => proxy.close());
  closeWithSockets(stage, server);
  const port = await listen(server);
  return {
    proxy,
    port,
    routes,
    own,
    visitor: () => RawVisitor.open(stage, port),
    settled: async () => {
      await poll(() => isSettled(proxy), 5_000, `all counters at zero: ${JSON.stringify(proxy.statistics)}`, 5);
    },
  };
}

function isSettled({ statistics }: VisitorProxy): boolean {
  const { openVisitors, openExchanges, openTunnels, heldRequests, heldBytes } = statistics;
  return openVisitors + openExchanges + openTunnels + heldRequests + heldBytes === 0;
}

export interface ParsedAnswer {
  readonly status: number;
  readonly head: string;
  /** Lower-case names; repeated fields joined by ", ". */
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Reads one answer off a visitor's connection; the body by length, by chunks (trailers in `body`'s end dropped), or to the end. */
export async function readAnswer(visitor: RawVisitor, method = "GET"): Promise<ParsedAnswer> {
  const head = await visitor.readUntil("\r\n\r\n");
  const status = Number(head.slice(9, 12));
  const fields = new Map<string, string>();
  for (const line of head.trimEnd().split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = fields.get(name);
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  const body = await readBody(visitor, method, status, fields);
  return { status, head, fields, body };
}

async function readBody(
  visitor: RawVisitor,
  method: string,
  status: number,
  fields: ReadonlyMap<string, string>,
): Promise<string> {
  if (method === "HEAD" || status === 204 || status === 304 || status < 200) return "";
  const length = fields.get("content-length");
  if (length !== undefined) return visitor.readBytes(Number(length));
  if (fields.get("transfer-encoding") !== "chunked") return visitor.readAll();
  let body = "";
  for (;;) {
    const size = Number.parseInt(await visitor.readUntil("\r\n"), 16);
    if (size === 0) break;
    body += await visitor.readBytes(size);
    await visitor.readUntil("\r\n");
  }
  while ((await visitor.readUntil("\r\n")) !== "\r\n");
  return body;
}

/** A request's head with a Host, and no body unless `more` says so. */
export function get(path: string, host = "a.example.test", more = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;
}
