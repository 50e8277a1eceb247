// Pipes whose visitors need a password or the right address: judged for each request, whatever came before on the
// connection, and nothing of what they showed reaches the target.

import { BlockList } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { hashGatePassword, type PipeGate } from "../../../src/protocol/index.ts";
import { createAttempts } from "../../../src/server/attempts.ts";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HOST = "a.example.test";
const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const BASIC: PipeGate = { basicAuth: [] };

beforeAll(async () => {
  const [ada, bob] = await Promise.all([hashGatePassword("pässword"), hashGatePassword("a:b:c")]);
  Object.assign(BASIC, {
    basicAuth: [
      { user: "ada", hash: ada },
      { user: "böb", hash: bob },
    ],
  });
});

function basic(user: string, password: string): string {
  return `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString("base64")}\r\n`;
}

const ADA = basic("ada", "pässword");

async function start(gate: PipeGate, options: Parameters<typeof startProxy>[1] = {}) {
  const proxy = await startProxy(stage, options);
  const origin = await startScriptedOrigin(stage, [HELLO]);
  proxy.routes.register(HOST, origin.port, { gate });
  /** One request on a connection of its own; answers status and error code. */
  const ask = async (head: string) => {
    const peer = await proxy.visitor();
    peer.write(head);
    return readAnswer(peer, head.split(" ", 1)[0]);
  };
  const outcome = async (more: string) => {
    const { status, fields } = await ask(get("/", HOST, more));
    return [status, fields.get("duplexity-error") ?? null];
  };
  return { ...proxy, origin, ask, outcome };
}

function gatesWith(points: number) {
  return {
    signIn: null,
    secret: Buffer.alloc(32),
    attempts: createAttempts({ visitor: { points, durationMs: 60_000 } }),
  };
}

describe("a pipe with passwords", () => {
  it("asks by RFC 7617, and tells the target nothing", async () => {
    const { ask, origin, routes } = await start(BASIC);
    const { status, fields, body } = await ask(get("/secret", HOST));
    expect(status).toBe(401);
    expect(fields.get("www-authenticate")).toBe(`Basic realm="${HOST}", charset="UTF-8"`);
    expect(fields.get("duplexity-error")).toBe("DPX_VISITOR_UNKNOWN");
    expect(fields.get("proxy-status")).toBe("duplexity; error=http_request_denied");
    expect(fields.get("cache-control")).toBe("no-store");
    expect(body).toContain("DPX_VISITOR_UNKNOWN");
    expect(origin.received()).toBe("");
    expect(routes.streams).toEqual([]);
    expect(routes.reports).toMatchObject([{ path: "/secret", status: 401, errorCode: "DPX_VISITOR_UNKNOWN" }]);
  });

  it("lets in who has one, at once and again, without the password going on", async () => {
    const { ask, origin } = await start(BASIC);
    for (const head of [ADA, ADA, basic("böb", "a:b:c"), basic("bo\u0308b", "a:b:c")]) {
      const { status, body } = await ask(get("/", HOST, `X-Before: 1\r\n${head}X-After: 2\r\n`));
      expect([status, body]).toEqual([200, "hello"]);
    }
    expect(origin.received()).not.toMatch(/authorization|Basic/i);
    expect(origin.received().match(/X-Before: 1\r\nX-After: 2\r\n/g)).toHaveLength(4);
  });

  it.each([
    ["another's password", basic("ada", "a:b:c")],
    ["an unknown user", basic("eve", "pässword")],
    ["an empty password", basic("ada", "")],
    ["no colon", `Authorization: Basic ${Buffer.from("ada").toString("base64")}\r\n`],
    ["another scheme", "Authorization: Bearer cGHDpHNzd29yZA==\r\n"],
    ["nothing behind the scheme", "Authorization: Basic\r\n"],
    [
      "Latin-1 instead of UTF-8",
      `Authorization: Basic ${Buffer.from("ada:pässword", "latin1").toString("base64")}\r\n`,
    ],
    ["base64 with other characters", ADA.replace("Basic ", "Basic ,")],
    ["the right one twice", ADA + ADA],
    ["the right one behind a wrong one", basic("eve", "x") + ADA],
    ["the right one in a list", `${ADA.trimEnd()}, Basic eDp5\r\n`],
    ["60 KiB", `Authorization: Basic ${"A".repeat(60_000)}\r\n`],
    ["the right one as Proxy-Authorization", `Proxy-${ADA}`],
    ["__proto__ as user", basic("__proto__", "")],
  ])("refuses %s", async (_what, more) => {
    const { outcome, origin } = await start(BASIC);
    expect(await outcome(more)).toEqual([401, "DPX_VISITOR_UNKNOWN"]);
    expect(origin.received()).toBe("");
  });

  it("judges each request of a connection: the second is not let in by the first", async () => {
    const { visitor, origin } = await start(BASIC);
    const peer = await visitor();
    peer.write(get("/one", HOST, ADA) + get("/two", HOST) + get("/three", HOST, ADA));
    expect([(await readAnswer(peer)).status, (await readAnswer(peer)).status, (await readAnswer(peer)).status]).toEqual(
      [200, 401, 200],
    );
    expect(origin.received()).toContain("/one");
    expect(origin.received()).not.toContain("/two");
  });

  it("is not passed by the same bytes that an open pipe was asked with: the head's cache knows no gate", async () => {
    const { visitor, routes, origin } = await start(BASIC);
    routes.register(HOST, origin.port);
    const peer = await visitor();
    for (let turn = 0; turn < 3; turn++) {
      peer.write(get("/same", HOST));
      expect((await readAnswer(peer)).status).toBe(200);
    }
    routes.change(HOST, { gate: BASIC });
    const before = origin.received();
    peer.write(get("/same", HOST));
    expect((await readAnswer(peer)).status).toBe(401);
    expect(origin.received()).toBe(before);
    expect(before.match(/\/same/g)).toHaveLength(3);
  });

  it("strips the password from a head that was cached, too", async () => {
    const { visitor, origin } = await start(BASIC);
    const peer = await visitor();
    for (let turn = 0; turn < 4; turn++) {
      peer.write(get("/same", HOST, ADA));
      expect((await readAnswer(peer)).status).toBe(200);
    }
    expect(origin.received()).not.toContain("Authorization");
  });

  it("stands before absolute-form, HEAD, an upgrade and each host of a connection", async () => {
    const { ask, visitor, routes, origin } = await start(BASIC);
    expect((await ask(`GET http://${HOST}/ HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`)).status).toBe(401);
    const head = await ask(`HEAD / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    expect([head.status, head.body]).toEqual([401, ""]);
    expect((await ask(get("/", HOST, "Connection: Upgrade\r\nUpgrade: websocket\r\n"))).status).toBe(401);
    expect((await ask(get("/", HOST, "Connection: authorization\r\n"))).status).toBe(401);
    routes.register("b.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/", "b.example.test") + get("/", HOST) + get("/", HOST.toUpperCase()) + get("/", `${HOST}.`));
    const statuses = [];
    for (let turn = 0; turn < 4; turn++) statuses.push((await readAnswer(peer)).status);
    expect(statuses).toEqual([200, 401, 401, 401]);
  });

  it("passes an upgrade that has the password, and cuts nothing of it afterwards", async () => {
    const proxy = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly",
    ]);
    proxy.routes.register(HOST, origin.port, { gate: BASIC });
    const peer = await proxy.visitor();
    peer.write(get("/", HOST, `${ADA}Connection: Upgrade\r\nUpgrade: websocket\r\n`));
    expect(await peer.readUntil("\r\n\r\n")).toContain("101 Switching");
    expect(await peer.readBytes(5)).toBe("early");
    peer.write("Authorization: bytes of the tunnel\r\n");
    await poll(() => origin.received().includes("bytes of the tunnel"), 5_000, "the tunnel's bytes", 2);
    expect(origin.received()).not.toContain("Basic");
  });

  it("ends the connection when a refused request has more to send", async () => {
    const { visitor, settled } = await start(BASIC);
    const peer = await visitor();
    peer.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 100000\r\n\r\nbegin`);
    const { status, fields } = await readAnswer(peer);
    expect([status, fields.get("connection")]).toEqual([401, "close"]);
    peer.write("x".repeat(50_000));
    peer.end();
    expect(await peer.readAll()).toBe("");
    await settled();
  });

  it("keeps a body that comes while the password is looked at", async () => {
    const { visitor, origin } = await start(BASIC);
    const peer = await visitor();
    peer.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${ADA}Content-Length: 10\r\n\r\nhello`);
    setImmediate(() => peer.write("world"));
    expect((await readAnswer(peer)).status).toBe(200);
    expect(origin.received()).toContain("helloworld");
  });

  it("forgets a visitor that leaves while its password is looked at", async () => {
    let release = (): void => {};
    const counted = new Promise<void>((resolve) => {
      release = resolve;
    });
    const attempts = { count: () => counted, reset: async () => {} };
    const gates = { signIn: null, secret: Buffer.alloc(32), attempts };
    const { visitor, settled, origin, proxy, outcome } = await start(BASIC, { gates });
    const peer = await visitor();
    peer.write(get("/left", HOST, ADA));
    await poll(() => proxy.statistics.openExchanges === 1, 5_000, "an exchange", 2);
    peer.socket.resetAndDestroy();
    await settled();
    release();
    expect(await outcome(ADA)).toEqual([200, null]);
    expect(origin.received()).not.toContain("/left");
  });

  it("asks again when the gate has changed while the request waited", async () => {
    const { visitor, routes, proxy, origin } = await start(BASIC);
    routes.change(HOST, { state: "away" });
    const peer = await visitor();
    peer.write(get("/", HOST, ADA));
    await poll(() => proxy.statistics.heldRequests === 1, 5_000, "one held", 2);
    routes.change(HOST, { state: "up", gate: { allowCidr: ["192.0.2.0/24"] } });
    expect((await readAnswer(peer)).status).toBe(403);
    expect(origin.received()).toBe("");
  });

  it("holds nobody that it does not let in", async () => {
    const { outcome, routes, proxy } = await start(BASIC);
    routes.change(HOST, { state: "away" });
    expect(await outcome("")).toEqual([401, "DPX_VISITOR_UNKNOWN"]);
    expect(proxy.statistics.heldRequests).toBe(0);
  });

  it("limits guesses by address, also such as come all at once, and not who is known already", async () => {
    const { outcome } = await start(BASIC, { gates: gatesWith(3) });
    expect(await outcome(ADA)).toEqual([200, null]);
    const guesses = await Promise.all(Array.from({ length: 6 }, (_, at) => outcome(basic("ada", `guess ${at}`))));
    expect(guesses.map(([status]) => status).sort()).toEqual([401, 401, 401, 429, 429, 429]);
    expect(await outcome(basic("böb", "a:b:c"))).toEqual([429, "DPX_RATE_LIMIT"]);
    expect(await outcome(ADA)).toEqual([200, null]);
    expect(await outcome("")).toEqual([401, "DPX_VISITOR_UNKNOWN"]);
  });

  it("counts the six connections of one browser as one attempt", async () => {
    const { outcome } = await start(BASIC, { gates: gatesWith(1) });
    const all = await Promise.all(Array.from({ length: 6 }, () => outcome(ADA)));
    expect(all).toEqual(Array.from({ length: 6 }, () => [200, null]));
  });
});

describe("a pipe with networks", () => {
  it("lets in who comes from one of them, and nobody else", async () => {
    const inside = await start({ allowCidr: ["192.0.2.0/24", "127.0.0.0/8"] });
    expect(await inside.outcome("")).toEqual([200, null]);
    const outside = await start({ allowCidr: ["192.0.2.0/24", "::1/128"] });
    expect(await outside.outcome("X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\n")).toEqual([
      403,
      "DPX_VISITOR_FORBIDDEN",
    ]);
    expect(outside.routes.streams).toEqual([]);
    expect(outside.routes.reports).toMatchObject([{ status: 403, errorCode: "DPX_VISITOR_FORBIDDEN" }]);
  });

  it("asks for both, an address and a password", async () => {
    const { outcome } = await start({ ...BASIC, allowCidr: ["127.0.0.1/32"] });
    expect(await outcome("")).toEqual([401, "DPX_VISITOR_UNKNOWN"]);
    expect(await outcome(ADA)).toEqual([200, null]);
    const elsewhere = await start({ ...BASIC, allowCidr: ["192.0.2.0/24"] });
    expect(await elsewhere.outcome(ADA)).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
  });

  it.each([
    ["X-Forwarded-For: 192.0.2.7\r\n", 200],
    ["X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n", 200],
    ["X-Forwarded-For: ::ffff:192.0.2.7\r\n", 200],
    ["X-Forwarded-For: ::ffff:c000:207\r\n", 200],
    // What the visitor wrote itself stands before what the proxy added, in one field or in two.
    ["X-Forwarded-For: 192.0.2.7, 203.0.113.9\r\n", 403],
    ["X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 203.0.113.9\r\n", 403],
    // Nobody knows who it is: then it is not the proxy itself, which would be let in.
    ["X-Forwarded-For: 203.0.113.9:4711\r\n", 403],
    ["X-Forwarded-For: unknown\r\n", 403],
    ["", 200],
  ])("behind a trusted proxy, takes %j for %i", async (more, status) => {
    const trustProxy = new BlockList();
    trustProxy.addSubnet("127.0.0.0", 8, "ipv4");
    const { outcome } = await start({ allowCidr: ["192.0.2.0/24", "127.0.0.1/32"] }, { trustProxy });
    expect((await outcome(more))[0]).toBe(status);
  });
});
