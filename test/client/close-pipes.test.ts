// Closing one pipe of several, while the others carry visitors: against the real server, and one driven by hand.

import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { beforeEach, describe, expect, it } from "vitest";
import { forward, newClientKey, type PipeOptions, type Tunnel } from "../../src/client/index.ts";
import { type Server, serve } from "../../src/server/index.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";
import { FakeHub } from "./fake-hub.ts";
import { listen } from "./support.ts";

const stage = useStage();
const ANYWHERE = { host: "127.0.0.1", port: 0 };
let server: Server;
let port: number;
let target: number;
/** Emits `stream` with an answer that has begun and does not end. */
let origin: EventEmitter;

beforeEach(async () => {
  const tcpPort = await freePort();
  server = await serve({
    ...{ identity: { kind: "no-auth" }, listen: ANYWHERE, internalListen: ANYWHERE },
    tcpPorts: { from: tcpPort, to: tcpPort },
  });
  stage.defer(() => server.close());
  port = Number(new URL(server.publicUrl).port);
  origin = new EventEmitter();
  const http = createServer((incoming, outgoing) => {
    if (incoming.url !== "/stream") {
      outgoing.end("hello");
      return;
    }
    outgoing.write("begun ");
    origin.emit("stream", outgoing);
  });
  target = await listen(http);
  stage.defer(() => http.close());
  stage.defer(() => http.closeAllConnections());
});

async function up(pipes: readonly PipeOptions[], to = server.publicUrl): Promise<Tunnel> {
  const tunnel = await forward({ server: to, key: newClientKey(), pipes });
  stage.defer(() => tunnel.close());
  return tunnel;
}

function twoPipes(): readonly PipeOptions[] {
  return [
    { name: "one", target },
    { name: "two", target },
  ];
}

async function statusOf(name: string): Promise<number> {
  return (await visit(port, `${name}.localhost`, "/")).status;
}

/** A visitor of a hostname's endless answer, which has begun. */
async function openStream(name: string): Promise<IncomingMessage> {
  const visiting = request({ host: "127.0.0.1", port, path: "/stream", headers: { host: `${name}.localhost` } });
  visiting.end();
  const [response] = await once(visiting, "response");
  response.on("error", () => {});
  return response;
}

describe("Tunnel.closePipes", () => {
  it("closes one pipe while the other answers a hundred requests a second, all of them", async () => {
    const tunnel = await up(twoPipes());
    expect(await statusOf("one")).toBe(200);
    const visits: Promise<number>[] = [];
    const timer = setInterval(() => visits.push(statusOf("two")), 10);
    stage.defer(() => clearInterval(timer));
    await poll(() => visits.length >= 20, 5_000, "traffic", 5);
    await tunnel.closePipes(["one"]);
    expect(await statusOf("one")).toBe(404);
    const closedAt = visits.length;
    await poll(() => visits.length >= closedAt + 40, 5_000, "more traffic", 5);
    clearInterval(timer);
    expect((await Promise.all(visits)).filter((status) => status !== 200)).toEqual([]);
    expect(tunnel.pipes.map(({ name }) => name)).toEqual(["two"]);
    expect(tunnel.status.state).toBe("up");
  });

  it("lets a request that runs finish, while new ones are refused", async () => {
    const tunnel = await up(twoPipes());
    const begun = once(origin, "stream");
    const visitor = await openStream("one");
    const [answer] = await begun;
    let isClosed = false;
    const closing = tunnel.closePipes(["one"]).then(() => {
      isClosed = true;
    });
    await poll(async () => (await statusOf("one")) === 404, 5_000, "the route to go", 10);
    expect(isClosed).toBe(false);
    answer.end("ended");
    let text = "";
    for await (const chunk of visitor) text += chunk;
    expect(text).toBe("begun ended");
    await closing;
    expect(await statusOf("two")).toBe(200);
  });

  it("cuts what still runs after drainMs, and nothing of the other pipe", async () => {
    const tunnel = await up(twoPipes());
    const first = once(origin, "stream");
    const cut = await openStream("one");
    await first;
    const second = once(origin, "stream");
    const kept = await openStream("two");
    const [answer] = await second;
    const broken = new Promise((resolve) => cut.once("close", resolve));
    await tunnel.closePipes(["one"], { drainMs: 100 });
    await within(broken, 5_000, "the cut");
    expect(cut.complete).toBe(false);
    answer.end("ended");
    let text = "";
    for await (const chunk of kept) text += chunk;
    expect(text).toBe("begun ended");
  });

  it("closes a TCP pipe's port, and lets its connections finish", async () => {
    const echo = createTcpServer((socket) => socket.on("error", () => {}).pipe(socket));
    stage.defer(() => echo.close());
    const tunnel = await up([
      { name: "web", target },
      { name: "db", target: `tcp://127.0.0.1:${await listen(echo)}` },
    ]);
    const publicPort = Number(new URL(tunnel.pipes[1]?.url ?? "").port);
    const visitor = connect(publicPort, "127.0.0.1");
    stage.defer(() => visitor.destroy());
    visitor.write("a");
    await once(visitor, "data");
    const closing = tunnel.closePipes(["db"]);
    await poll(() => isRefused(publicPort), 5_000, "the port to close", 10);
    visitor.write("b");
    expect(String((await once(visitor, "data"))[0])).toBe("b");
    visitor.end();
    await once(visitor, "end");
    await closing;
    expect(await statusOf("web")).toBe(200);
  });

  it("does not bring a closed pipe back with the next link", async () => {
    const wire = await FaultProxy.start(stage, port);
    const tunnel = await up(twoPipes(), wire.url);
    await tunnel.closePipes(["one"]);
    const reconnected = once(tunnel, "reconnect");
    wire.cutAll();
    await reconnected;
    expect(tunnel.pipes.map(({ name }) => name)).toEqual(["two"]);
    expect([await statusOf("one"), await statusOf("two")]).toEqual([404, 200]);
  });

  it("of all pipes closes the tunnel", async () => {
    const tunnel = await up(twoPipes());
    await tunnel.closePipes(["two"]);
    await tunnel.closePipes(["one"]);
    expect(tunnel.status).toEqual({ state: "closed", error: null });
    expect([await statusOf("one"), await statusOf("two")]).toEqual([404, 404]);
  });

  it("refuses a name that the tunnel does not have, and closes nothing", async () => {
    const tunnel = await up(twoPipes());
    await expect(tunnel.closePipes(["one", "three"])).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: 'Cannot close "three": this tunnel has the pipes one, two',
    });
    expect(tunnel.pipes).toHaveLength(2);
    expect(await statusOf("one")).toBe(200);
  });
});

function isRefused(tcpPort: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(tcpPort, "127.0.0.1");
    socket.on("connect", () => resolve(false)).on("error", () => resolve(true));
    socket.on("close", () => {}).on("connect", () => socket.destroy());
  });
}

describe("Tunnel.closePipes, without a control socket", () => {
  it("tells the server as soon as it can again, and dials without the pipe", async () => {
    const hub = await new FakeHub().listen();
    stage.defer(() => hub.close());
    const tunnel = await up(twoPipes(), hub.url);
    await hub.next("dial");
    await hub.next("message");
    hub.control?.close(1000);
    await hub.next("controlClosed");
    const closing = tunnel.closePipes(["one"], { drainMs: 0 });
    expect(await hub.next("message")).toMatchObject({ message: { type: "discoveryRequest" } });
    expect(await hub.next("message")).toMatchObject({
      message: { type: "closePipesRequest", clientId: tunnel.clientId, names: ["one"] },
    });
    await closing;
    hub.cut();
    expect((await hub.next("dial")).message.pipes).toEqual([{ name: "two", protocol: "http" }]);
  });
});
