// A tunnel whose sockets break in every way, against a hub that the test drives by hand.

import { EventEmitter, once } from "node:events";
import { createServer, type Socket } from "node:net";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { BACKOFF_REFUSED_MAX_MS } from "../../src/client/backoff.ts";
import { type ForwardOptions, forward, type Tunnel, type TunnelStatus } from "../../src/client/index.ts";
import { DuplexityError } from "../../src/protocol/index.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { useStage } from "../support/stage.ts";
import { FakeHub } from "./fake-hub.ts";
import { collect, listen } from "./support.ts";

const stage = useStage();
let hub: FakeHub;
let wire: FaultProxy;
let target: number;
let atTarget: Socket[];

beforeEach(async () => {
  hub = await new FakeHub().listen();
  stage.defer(() => hub.close());
  wire = await FaultProxy.start(stage, hub.port);
  hub.dataPlaneUri = `${wire.url.replace("http", "ws")}/dialer`;
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
  const tunnel = await forward(target, { server: wire.url, name: "cat1", ...options });
  stage.defer(() => tunnel.close());
  await hub.next("live");
  return tunnel;
}

function statusesOf(tunnel: Tunnel): TunnelStatus[] {
  const statuses: TunnelStatus[] = [];
  tunnel.on("status", (status) => statuses.push(status));
  return statuses;
}

describe("Tunnel", () => {
  it("comes back after a cut, with its streams as they were, and tells how long it was away", async () => {
    const tunnel = await up();
    const statuses = statusesOf(tunnel);
    const visitor = collect();
    const stream = hub.open("cat1.localhost", visitor.handler);
    stream.write(Buffer.from("before "));
    await visitor.received(7);
    const reconnected = once(tunnel, "reconnect");
    const { session } = hub;
    wire.cutAll();
    stream.write(Buffer.from("meanwhile "));
    const [{ outageMs }] = await reconnected;
    expect(outageMs).toBeGreaterThanOrEqual(0);
    stream.write(Buffer.from("after"));
    await visitor.received(22);
    expect(visitor.text).toBe("before meanwhile after");
    expect(hub.session).toBe(session);
    expect(statuses[0]).toMatchObject({ state: "reconnecting", attempt: 1, code: "DPX_LINK_LOST" });
    expect(statuses.at(-1)?.state).toBe("up");
    expect(hub.upgrades.filter(({ url }) => url === "/control")).toHaveLength(2);
  });

  it("gets a new ticket on the same control socket when only the dialer broke", async () => {
    const tunnel = await up();
    const [first] = [await hub.next("dial")];
    const reconnected = once(tunnel, "reconnect");
    hub.link?.abort(new DuplexityError("DPX_LINK_LOST", "cut"));
    await reconnected;
    const second = await hub.next("dial");
    expect(first.ticket).toBe("ticket-1");
    expect(second.ticket).toBe("ticket-2");
    expect(second.message.clientId).toBe(first.message.clientId);
    expect(hub.upgrades.filter(({ url }) => url === "/control")).toHaveLength(1);
  });

  it("redials control alone when only that broke, and stays up meanwhile", async () => {
    const tunnel = await up();
    const statuses = statusesOf(tunnel);
    await hub.next("message");
    hub.control?.terminate();
    await hub.next("controlClosed");
    const { message } = await hub.next("message");
    expect(message).toMatchObject({ type: "discoveryRequest", clientId: tunnel.clientId });
    expect(tunnel.status.state).toBe("up");
    expect(statuses).toEqual([]);
    expect(hub.upgrades.filter(({ url }) => url === "/dialer")).toHaveLength(1);
  });

  it("finds a restarted server within the cap for refused connections, and ends the old session's streams", async () => {
    const tunnel = await up();
    const visitor = collect();
    const stream = hub.open("cat1.localhost", visitor.handler);
    stream.write(Buffer.from("x"));
    await visitor.received(1);
    const { port } = hub;
    const waits: number[] = [];
    const refused = new Promise<void>((resolve) => {
      tunnel.on("status", (status) => {
        if (status.state !== "reconnecting" || status.code !== "DPX_SERVER_UNREACHABLE") return;
        waits.push(status.delayMs);
        resolve();
      });
    });
    const reconnected = once(tunnel, "reconnect");
    // Straight to the hub, without the wire, so that nobody accepts while it is down.
    await hub.die();
    await refused;
    hub = await new FakeHub().listen(port);
    stage.defer(() => hub.close());
    hub.dataPlaneUri = `${wire.url.replace("http", "ws")}/dialer`;
    await reconnected;
    expect(Math.max(...waits)).toBeLessThanOrEqual(BACKOFF_REFUSED_MAX_MS);
    await hub.next("live");
    const again = collect();
    hub.open("cat1.localhost", again.handler).write(Buffer.from("again"));
    await again.received(5);
    expect(tunnel.statistics.openStreams).toBe(1);
  });

  it("notices a black hole by itself, and is served again", async () => {
    hub.heartbeat = { idleMs: 100, timeoutMs: 100 };
    const tunnel = await up();
    const visitor = collect();
    const stream = hub.open("cat1.localhost", visitor.handler);
    const reconnected = once(tunnel, "reconnect");
    wire.blackhole();
    stream.write(Buffer.from("into the dark"));
    const [status] = await once(tunnel, "status");
    expect(status).toMatchObject({ state: "reconnecting", code: "DPX_LINK_DEAD" });
    await reconnected;
    await visitor.received(13);
    expect(visitor.text).toBe("into the dark");
  });

  it("probes a silent control socket, keeps it while it answers, and drops it when it does not", async () => {
    hub.heartbeat = { idleMs: 100, timeoutMs: 1_000 };
    const tunnel = await up();
    const statuses = statusesOf(tunnel);
    await hub.next("message");
    const pinged = (): Promise<unknown> => once(hub.control ?? new EventEmitter(), "ping");
    await pinged();
    await pinged();
    expect(hub.upgrades).toHaveLength(2);
    hub.answersPings = false;
    await hub.next("controlClosed");
    hub.answersPings = true;
    const { message } = await hub.next("message");
    expect(message.type).toBe("discoveryRequest");
    expect(statuses).toEqual([]);
    expect(hub.upgrades.map(({ url }) => url)).toEqual(["/control", "/dialer", "/control"]);
  });

  it("does not wait before the first retry after a drop that was announced", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    stage.defer(() => vi.restoreAllMocks());
    const tunnel = await up();
    const statuses = statusesOf(tunnel);
    const heard = new Promise((resolve) => hub.control?.once("pong", resolve));
    hub.send({ type: "drainRequest", deadlineMs: 1_000, dataPlaneUris: [] });
    // Behind the announcement on the same socket: when the answer came, that came.
    hub.control?.ping();
    await heard;
    const reconnected = once(tunnel, "reconnect");
    wire.cutAll();
    await reconnected;
    expect(statuses[0]).toMatchObject({ state: "reconnecting", attempt: 1, delayMs: 0 });
  });

  it("waits before the first retry after any other drop", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    stage.defer(() => vi.restoreAllMocks());
    const tunnel = await up();
    const lost = once(tunnel, "status");
    wire.cutAll();
    const [status] = await lost;
    expect(status).toMatchObject({ state: "reconnecting", attempt: 1, delayMs: 500 });
  });

  it.each([
    ["DPX_KICKED", "admin kicked this client: too loud"],
    ["DPX_REPLACED", "admin ended this client: too loud"],
  ] as const)("never comes back after forceDisconnectRequest with %s", async (code, message) => {
    const tunnel = await up();
    const closed = once(tunnel, "close");
    hub.send({ type: "forceDisconnectRequest", code, by: "admin", reason: "too loud", until: null });
    const [error] = await closed;
    expect(error).toMatchObject({ code, message });
    expect(tunnel.status).toEqual({ state: "closed", error });
    const { length } = hub.upgrades;
    await new Promise((resolve) => setImmediate(resolve));
    expect(hub.upgrades).toHaveLength(length);
    expect(wire.open).toBe(0);
  });

  it("closes for good when its name has gone to somebody else meanwhile", async () => {
    const tunnel = await up();
    const closed = once(tunnel, "close");
    hub.refusePipes = {
      code: "DPX_NAME_TAKEN",
      message: 'Cannot register "cat1": ben holds it',
      hint: "Take another.",
    };
    wire.cutAll();
    const [error] = await closed;
    expect(error).toMatchObject({ code: "DPX_NAME_TAKEN", message: 'Cannot register "cat1": ben holds it' });
  });

  it("closes for good when it is not let in any more", async () => {
    const tunnel = await up();
    const closed = once(tunnel, "close");
    hub.refuseControl = { code: "DPX_AUTH_INVALID", message: "The token has ended" };
    wire.cutAll();
    const [error] = await closed;
    expect(error).toMatchObject({ code: "DPX_AUTH_INVALID", message: "The token has ended" });
  });

  it("keeps trying through failures that may pass", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    stage.defer(() => vi.restoreAllMocks());
    const tunnel = await up();
    const statuses = statusesOf(tunnel);
    const reconnected = once(tunnel, "reconnect");
    hub.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
    wire.cutAll();
    while (statuses.length < 5) await once(tunnel, "status");
    hub.refuseControl = null;
    hub.refuseDialer = { code: "DPX_TICKET_INVALID", message: "used" };
    const before = hub.upgrades.filter(({ url }) => url === "/dialer").length;
    while (hub.upgrades.filter(({ url }) => url === "/dialer").length < before + 3) await hub.next("upgrade");
    hub.refuseDialer = null;
    await reconnected;
    expect(statuses).toContainEqual(
      expect.objectContaining({ state: "reconnecting", attempt: 4, code: "DPX_CLIENTS_LIMIT" }),
    );
    expect(statuses).toContainEqual(expect.objectContaining({ state: "reconnecting", code: "DPX_TICKET_INVALID" }));
  });

  it("gets a new session when the server ends the old one and keeps the link", async () => {
    const tunnel = await up();
    const reconnected = once(tunnel, "reconnect");
    const old = hub.session?.id;
    hub.session?.close("DPX_SEQUENCE", "a packet is missing");
    await reconnected;
    await hub.next("live");
    expect(hub.session?.id).not.toBe(old);
    const visitor = collect();
    hub.open("cat1.localhost", visitor.handler).write(Buffer.from("new"));
    await visitor.received(3);
  });

  it("is not disturbed by an old session that expires while it comes back", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    stage.defer(() => vi.restoreAllMocks());
    hub.resumeWindowMs = 300;
    const tunnel = await up();
    await hub.next("dial");
    const visitor = collect();
    hub.open("cat1.localhost", visitor.handler).write(Buffer.from("x"));
    await visitor.received(1);
    hub.registers = false;
    const reconnected = once(tunnel, "reconnect");
    const targetClosed = once(atTarget[0] ?? new EventEmitter(), "close");
    hub.session?.close("DPX_SESSION_EXPIRED", "forgotten");
    wire.cutAll();
    await hub.next("dial");
    await targetClosed;
    hub.registerNow();
    await reconnected;
    expect(hub.upgrades.map(({ url }) => url)).toEqual(["/control", "/dialer", "/control", "/dialer"]);
  });

  it("redials at once when the machine has slept", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
    stage.defer(() => vi.useRealTimers());
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    stage.defer(() => vi.restoreAllMocks());
    const tunnel = await up();
    const statuses = statusesOf(tunnel);
    const reconnected = once(tunnel, "reconnect");
    vi.advanceTimersByTime(2_000);
    expect(statuses).toEqual([]);
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersByTime(2_000);
    await reconnected;
    expect(statuses[0]).toMatchObject({ state: "reconnecting", delayMs: 0, code: "DPX_LINK_DEAD" });
    expect(hub.upgrades.filter(({ url }) => url === "/control")).toHaveLength(2);
  });

  it("cuts its wait short when the machine wakes", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
    stage.defer(() => vi.useRealTimers());
    vi.spyOn(Math, "random").mockReturnValue(0);
    stage.defer(() => vi.restoreAllMocks());
    const tunnel = await up();
    hub.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
    wire.cutAll();
    const isLongWait = (status: TunnelStatus): boolean => status.state === "reconnecting" && status.delayMs > 20_000;
    let [status] = await once(tunnel, "status");
    for (let count = 0; count < 8; count += 1) [status] = await once(tunnel, "status");
    vi.mocked(Math.random).mockReturnValue(0.999);
    while (!isLongWait(status)) [status] = await once(tunnel, "status");
    hub.refuseControl = null;
    const reconnected = once(tunnel, "reconnect");
    vi.setSystemTime(Date.now() + 60_000);
    vi.advanceTimersByTime(2_000);
    await reconnected;
  });
});
