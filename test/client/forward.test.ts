// `forward()` against a hub that the test drives by hand: coming up, carrying, going away.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type ForwardOptions, forward, type PipeOptions, type Tunnel } from "../../src/client/index.ts";
import { DuplexityError, type RequestReport } from "../../src/protocol/index.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { useStage } from "../support/stage.ts";
import { FakeHub } from "./fake-hub.ts";
import { collect, listen } from "./support.ts";

const stage = useStage();
let hub: FakeHub;
let target: number;
let atTarget: Socket[];

beforeEach(async () => {
  hub = await new FakeHub().listen();
  stage.defer(() => hub.close());
  atTarget = [];
  const echo = createServer((socket) => {
    atTarget.push(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  target = await listen(echo);
  stage.defer(() => echo.close());
});

async function up(options: Partial<ForwardOptions> = {}): Promise<Tunnel> {
  const tunnel = await forward(target, { server: hub.url, name: "cat1", ...options });
  stage.defer(() => tunnel.close());
  await hub.next("live");
  return tunnel;
}

async function failure(run: Promise<unknown>): Promise<DuplexityError> {
  const error = await run.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof DuplexityError) return error;
  throw new Error(`expected a DuplexityError, got ${error}`);
}

describe("forward", () => {
  it("resolves when the pipes are registered, and carries bytes", async () => {
    const tunnel = await up();
    expect(tunnel.url).toBe(`http://cat1.localhost:${hub.port}`);
    expect(tunnel.pipes).toEqual([
      {
        name: "cat1",
        hostname: "cat1.localhost",
        protocol: "http",
        url: tunnel.url,
        target: `http://localhost:${target}`,
      },
    ]);
    expect(tunnel.status.state).toBe("up");
    const visitor = collect();
    const stream = hub.open("cat1.localhost", visitor.handler);
    stream.write(Buffer.from("hello"));
    await visitor.received(5);
    expect(visitor.text).toBe("hello");
    expect(visitor.isAccepted).toBe(true);
    expect(tunnel.statistics).toMatchObject({ requests: 1, openStreams: 1, bytesIn: 5, bytesOut: 5 });
    expect(tunnel.statistics.lastByteAt).toBeInstanceOf(Date);
    expect(tunnel.statistics.rttMs).toBeGreaterThan(0);
  });

  it("dials the dialer only after control, with its ticket, and proves itself on both", async () => {
    await up();
    const [control, dialer] = hub.upgrades;
    expect(hub.upgrades.map(({ url }) => url)).toEqual(["/control", "/dialer"]);
    expect(control?.headers.authorization).toMatch(/^DPoP /);
    expect(dialer?.headers.authorization).toMatch(/^DPoP /);
    expect(dialer?.headers.authorization).not.toBe(control?.headers.authorization);
    expect(dialer?.headers["duplexity-ticket"]).toBe("ticket-1");
    expect(control?.headers["sec-websocket-extensions"]).toBeUndefined();
  });

  it("waits for the registration, however long the sockets are up", async () => {
    hub.registers = false;
    let isUp = false;
    const opening = forward(target, { server: hub.url, name: "cat1" });
    opening.then(
      () => {
        isUp = true;
      },
      () => {},
    );
    const { message } = await hub.next("dial");
    await new Promise((resolve) => setImmediate(resolve));
    expect(isUp).toBe(false);
    const { clientId } = message;
    const url = "http://cat1.localhost";
    hub.send({
      type: "pipesAreRegisteredResponse",
      clientId,
      pipes: [{ status: "registered", name: "cat1", protocol: "http", hostname: "cat1.localhost", url, epoch: 1 }],
    });
    const tunnel = await opening;
    expect(tunnel.url).toBe(url);
    await tunnel.close();
  });

  it("begins nothing when it was ended in the turn in which it came up", async () => {
    const watches = vi.spyOn(globalThis, "setInterval");
    stage.defer(() => watches.mockRestore());
    hub.registers = false;
    const opening = forward(target, { server: hub.url, name: "cat1" });
    await hub.next("dial");
    watches.mockClear();
    hub.registerNow();
    hub.send({ type: "forceDisconnectRequest", code: "DPX_KICKED", by: "ana", reason: "tests", until: null });
    await expect(opening).rejects.toMatchObject({ code: "DPX_KICKED" });
    expect(watches).not.toHaveBeenCalled();
  });

  it("opens several pipes in one tunnel, each to its own target and nowhere else", async () => {
    const other = createServer((socket) => socket.on("error", () => {}).end("other"));
    const port = await listen(other);
    stage.defer(() => other.close());
    const pipes: PipeOptions[] = [
      { name: "cat1", target },
      { name: "db.localhost", target: `tcp://127.0.0.1:${port}` },
    ];
    const tunnel = await forward({ server: hub.url, pipes });
    stage.defer(() => tunnel.close());
    await hub.next("live");
    expect(hub.lastDial?.pipes).toEqual([
      { name: "cat1", protocol: "http" },
      { name: "db.localhost", protocol: "tcp" },
    ]);
    const visitor = collect();
    hub.open("db.localhost", visitor.handler, "tcp");
    await visitor.ended();
    expect(visitor.text).toBe("other");
    const stranger = collect();
    hub.open("127.0.0.1", stranger.handler);
    expect(await stranger.wasReset()).toMatchObject({ error: { code: "DPX_PIPE_UNKNOWN" }, deliveredBytes: 0 });
  });

  it("tells of each request when it is asked to", async () => {
    const tunnel = await up({ reports: true });
    expect(hub.lastDial?.wants).toEqual(["requests", "pause"]);
    const report: RequestReport = {
      ...{ hostname: "cat1.localhost", method: "GET", path: "/", status: 200, durationMs: 1 },
      ...{ responseBytes: 3, requestBytes: 0, visitor: "127.0.0.1:1" },
    };
    const requested = once(tunnel, "request");
    hub.session?.report(report);
    expect(await requested).toEqual([report]);
    expect(tunnel.statistics.requests).toBe(1);
  });
});

describe("forward, when it cannot", () => {
  it("DPX_SERVER_UNREACHABLE: nobody listens", async () => {
    const { port } = hub;
    await hub.die();
    const error = await failure(forward(target, { server: `http://127.0.0.1:${port}`, name: "cat1" }));
    expect(error).toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: `Cannot reach http://127.0.0.1:${port}: nothing listens there (ECONNREFUSED)`,
      hint: "Is the server running? duplexity serve starts one.",
    });
  });

  it("DPX_SERVER_UNREACHABLE: something listens and says nothing", async () => {
    hub.isSilent = true;
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    stage.defer(() => vi.useRealTimers());
    const failing = failure(forward(target, { server: hub.url, name: "cat1" }));
    await hub.next("upgrade");
    await vi.advanceTimersByTimeAsync(10_001);
    expect(await failing).toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: `Cannot reach ${hub.url}: no answer in 10 s`,
    });
  });

  it("DPX_SERVER_UNREACHABLE: it is not a duplexity server", async () => {
    hub.refuseBody = "<h1>Bad Gateway</h1>";
    expect(await failure(forward(target, { server: hub.url, name: "cat1" }))).toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: `Cannot reach a duplexity server at ${hub.url}: it answered 502`,
    });
  });

  it.each(["refuseControl", "refuseDialer"] as const)(
    "passes on with what the server refuses it (%s)",
    async (step) => {
      hub[step] = { code: "DPX_AUTH_INVALID", message: "The token is wrong", hint: "Get another" };
      const error = await failure(forward(target, { server: hub.url, name: "cat1", token: "t" }));
      expect(error).toMatchObject({ code: "DPX_AUTH_INVALID", message: "The token is wrong", hint: "Get another" });
    },
  );

  it("passes on why a pipe was refused, although the dialer is closed at the same time", async () => {
    hub.refusePipes = { code: "DPX_NAME_TAKEN", message: 'Cannot register "cat1": ben holds it', hint: "Take cat2" };
    const error = await failure(forward(target, { server: hub.url, name: "cat1" }));
    expect(error).toMatchObject({
      code: "DPX_NAME_TAKEN",
      message: 'Cannot register "cat1": ben holds it',
      hint: "Take cat2",
    });
    await hub.next("controlClosed");
    expect(hub.upgrades).toHaveLength(2);
  });

  it("DPX_PROTOCOL_VERSION: says which side to upgrade", async () => {
    hub.version = 2;
    expect(await failure(forward(target, { server: hub.url, name: "cat1" }))).toMatchObject({
      code: "DPX_PROTOCOL_VERSION",
      message: "The server (fake/9.9) speaks version 2 of the protocol, this client 1",
      hint: "Upgrade this client: npm install -g duplexity@latest",
    });
  });

  it("refuses bad input before anything is dialled", async () => {
    const { url: server } = hub;
    expect((await failure(forward("nowhere", { server }))).code).toBe("DPX_TARGET_INVALID");
    expect((await failure(forward(9090, { server, name: "-" }))).code).toBe("DPX_NAME_INVALID");
    expect((await failure(forward(9090, { server: "ftp://x" }))).code).toBe("DPX_USAGE");
    expect((await failure(forward(9090, { server, pipes: [{ target: 1 }] }))).code).toBe("DPX_USAGE");
    expect((await failure(forward({ server, pipes: [] }))).code).toBe("DPX_USAGE");
    expect((await failure(forward(9090, { server, token: "a b" }))).code).toBe("DPX_AUTH_INVALID");
    expect(hub.upgrades).toHaveLength(0);
  });

  it("DPX_CANCELLED: the signal aborts before or while it dials", async () => {
    const before = failure(forward(target, { server: hub.url, signal: AbortSignal.abort() }));
    expect((await before).code).toBe("DPX_CANCELLED");
    hub.isSilent = true;
    const controller = new AbortController();
    const during = failure(forward(target, { server: hub.url, signal: controller.signal }));
    await hub.next("upgrade");
    controller.abort();
    expect((await during).code).toBe("DPX_CANCELLED");
  });

  it("DPX_CANCELLED: the signal aborts while the token's function waits, which is told", async () => {
    const controller = new AbortController();
    const token = (signal?: AbortSignal): Promise<string> =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        controller.abort();
      });
    const run = forward(target, { server: hub.url, token, signal: controller.signal });
    expect((await failure(run)).code).toBe("DPX_CANCELLED");
    expect(hub.upgrades).toHaveLength(0);
  });
});

describe("Tunnel.close", () => {
  it("says goodbye, closes both sockets, and tells it once", async () => {
    const tunnel = await up();
    const closes: (DuplexityError | null)[] = [];
    tunnel.on("close", (error) => closes.push(error));
    await hub.next("message");
    const closing = tunnel.close();
    const again = tunnel.close();
    const { message } = await hub.next("message");
    expect(message).toMatchObject({ type: "clientDisconnectRequest", clientId: tunnel.clientId });
    await Promise.all([closing, again, hub.next("controlClosed"), hub.next("linkClosed"), hub.next("sessionClosed")]);
    expect(closes).toEqual([null]);
    expect(tunnel.status).toEqual({ state: "closed", error: null });
    await tunnel.close();
  });

  it("refuses new requests and waits for all that the hub leaves open after the goodbye", async () => {
    const slow = createServer((socket) => atTarget.push(socket));
    const port = await listen(slow);
    stage.defer(() => slow.close());
    const tunnel = await forward(port, { server: hub.url, name: "cat1" });
    await hub.next("live");
    const idle = collect();
    const pooled = hub.open("cat1.localhost", idle.handler);
    pooled.write(Buffer.from("GET"));
    await idle.accepted();
    atTarget[0]?.write("answer");
    await idle.received(6);
    const running = collect();
    const stream = hub.open("cat1.localhost", running.handler);
    stream.write(Buffer.from("GET"));
    await running.accepted();

    const closing = tunnel.close({ drainMs: 10_000 });
    expect(tunnel.status.state).toBe("draining");
    const late = collect();
    hub.open("cat1.localhost", late.handler);
    expect((await late.wasReset()).error.code).toBe("DPX_DRAINING");
    pooled.reset("DPX_CANCELLED");
    atTarget[1]?.write("slow answer");
    await running.received(11);
    expect(tunnel.status.state).toBe("draining");
    stream.reset("DPX_CANCELLED");
    await closing;
    expect(running.text).toBe("slow answer");
  });

  it("goes on draining when the hub closes control after the goodbye, and stops at drainMs or when asked again", async () => {
    const tunnel = await up();
    const visitor = collect();
    const stream = hub.open("cat1.localhost", visitor.handler);
    await visitor.accepted();
    atTarget[0]?.unpipe();
    stream.write(Buffer.from("no answer to this"));
    const closing = tunnel.close({ drainMs: 60_000 });
    await hub.next("message");
    await hub.next("message");
    hub.control?.close(1000, "DPX_CANCELLED: Goodbye");
    await hub.next("controlClosed");
    expect(tunnel.status.state).toBe("draining");
    await tunnel.close();
    await closing;
    expect(tunnel.status.state).toBe("closed");
    expect((await visitor.wasReset()).error.code).toBe("DPX_CANCELLED");
    expect(hub.upgrades).toHaveLength(2);
  });

  it("is what aborting the signal does", async () => {
    const controller = new AbortController();
    const tunnel = await up({ signal: controller.signal });
    const closed = once(tunnel, "close");
    controller.abort();
    expect(await closed).toEqual([null]);
  });

  it("ends an attempt to come back", async () => {
    const tunnel = await up();
    hub.isSilent = true;
    const lost = once(tunnel, "status");
    hub.cut();
    await lost;
    await tunnel.close();
    expect(tunnel.status).toEqual({ state: "closed", error: null });
  });
});

function proxyIs(url: string): void {
  vi.stubEnv("http_proxy", url);
  vi.stubEnv("NO_PROXY", "");
  vi.stubEnv("no_proxy", "");
  stage.defer(() => vi.unstubAllEnvs());
}

describe("forward through a proxy", () => {
  it("reaches a server that only the proxy can reach, by CONNECT, for both sockets", async () => {
    const proxy = await startConnectProxy(stage);
    proxyIs(proxy.url);
    hub.dataPlaneUri = `ws://tunnel.test:${hub.port}/dialer`;
    const tunnel = await forward(target, { server: `http://tunnel.test:${hub.port}`, name: "cat1" });
    stage.defer(() => tunnel.close());
    await hub.next("live");
    const visitor = collect();
    hub.open("cat1.localhost", visitor.handler).write(Buffer.from("through"));
    await visitor.received(7);
    expect(proxy.asked).toEqual([`tunnel.test:${hub.port}`, `tunnel.test:${hub.port}`]);
  });

  it("leaves no connection behind when a dial through a silent proxy is given up", async () => {
    const proxy = createServer((socket) => socket.on("error", () => {}).resume());
    const asked = once(proxy, "connection");
    proxyIs(`http://127.0.0.1:${await listen(proxy)}`);
    stage.defer(() => proxy.close());
    const controller = new AbortController();
    const { signal } = controller;
    const failing = failure(forward(target, { server: "http://tunnel.test:8080", name: "cat1", signal }));
    const [socket] = await asked;
    const closed = once(socket, "close");
    controller.abort();
    expect((await failing).code).toBe("DPX_CANCELLED");
    await closed;
  });

  it("says that it was the proxy that refused", async () => {
    const proxy = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"));
    });
    const port = await listen(proxy);
    stage.defer(() => proxy.close());
    proxyIs(`http://127.0.0.1:${port}`);
    const error = await failure(forward(target, { server: "http://tunnel.test:8080", name: "cat1" }));
    expect(error).toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: `Cannot reach tunnel.test:8080: the proxy 127.0.0.1:${port} answered 407`,
      hint: "Put the user and the password into HTTPS_PROXY: http://user:password@host:port",
    });
  });
});
