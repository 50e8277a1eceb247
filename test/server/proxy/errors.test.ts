// What a visitor is told when its request cannot be served, and what happens to its connection then.

import { describe, expect, it } from "vitest";
import { errorAnswer } from "../../../src/server/proxy/error-answer.ts";
import { HOSTILE_REQUESTS, randomRequests } from "../../support/hostile-requests.ts";
import { freePort } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin, startTcpOrigin } from "../../support/tcp-origin.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

describe("createProxy", () => {
  it("answers 404 for a name that nobody has, and goes on with the connection", async () => {
    const { visitor, routes, proxy } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/", "nobody.example.test"));
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(404);
    expect(answer.fields.get("duplexity-error")).toBe("DPX_NAME_UNKNOWN");
    expect(answer.fields.get("proxy-status")).toBe("duplexity; error=destination_not_found");
    expect(answer.fields.get("cache-control")).toBe("no-store");
    expect(answer.fields.get("connection")).toBe("keep-alive");
    peer.write(get("/"));
    expect((await readAnswer(peer)).body).toBe("hello");
    expect(proxy.statistics.failures).toBe(1);
  });

  it("answers 429 at the owner's limit, but ends idle streams before it refuses anybody", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO, HELLO, HELLO]);
    for (const name of ["a", "b", "c"]) routes.register(`${name}.example.test`, origin.port);
    routes.register("d.example.test", origin.port, { clientId: "client-2" });
    routes.maxOpen = 2;
    const peer = await visitor();
    for (const host of ["a.example.test", "b.example.test", "c.example.test"]) {
      peer.write(get("/", host));
      expect((await readAnswer(peer)).body).toBe("hello");
    }
    expect(routes.streams.map(({ isReset }) => isReset)).toEqual([true, true, false]);
    routes.maxOpen = 1;
    // The only idle stream is another client's: ending it would help that one alone.
    peer.write(get("/", "d.example.test"));
    const refused = await readAnswer(peer);
    expect(refused.status).toBe(429);
    expect(refused.fields.get("duplexity-error")).toBe("DPX_LIMIT");
    expect(refused.fields.get("retry-after")).toBe("5");
  });

  it("does not serve HTTP for a TCP pipe's hostname", async () => {
    const { visitor, routes } = await startProxy(stage);
    routes.register("db.example.test", 1, { protocol: "tcp", tcpPort: 20_000 });
    const peer = await visitor();
    peer.write(get("/", "db.example.test"));
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_NAME_UNKNOWN");
  });

  it("answers 502 when nothing listens, without a second try, and says no address", async () => {
    const { visitor, routes } = await startProxy(stage);
    const port = await freePort();
    routes.register("a.example.test", port);
    const peer = await visitor();
    peer.write(get("/"));
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(502);
    expect(answer.fields.get("duplexity-error")).toBe("DPX_TARGET_REFUSED");
    expect(answer.fields.get("proxy-status")).toBe("duplexity; error=connection_refused");
    expect(answer.head + answer.body).not.toMatch(new RegExp(`127\\.0\\.0\\.1|${port}`));
    expect(routes.streams.length).toBe(1);
    expect(routes.reports).toMatchObject([{ status: 502, errorCode: "DPX_TARGET_REFUSED" }]);
  });

  it.each([
    ["DPX_TARGET_TIMEOUT", 504, "DPX_TARGET_TIMEOUT"],
    ["DPX_TARGET_UNREACHABLE", 502, "DPX_TARGET_UNREACHABLE"],
    ["DPX_TARGET_TLS", 502, "DPX_TARGET_TLS"],
    ["DPX_PIPE_UNKNOWN", 404, "DPX_PIPE_UNKNOWN"],
    ["DPX_STREAM_WINDOW", 502, "DPX_TARGET_BROKE"],
    ["DPX_SESSION_EXPIRED", 503, "DPX_SESSION_EXPIRED"],
  ] as const)("answers a stream's %s with %i %s", async (code, status, told) => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.on("data", () => routes.streams[0]?.kill(code, null));
    });
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(status);
    expect(answer.fields.get("duplexity-error")).toBe(told);
    expect(routes.streams.length).toBe(1);
  });

  it.each([
    ["DPX_STREAMS_LIMIT", 503],
    ["DPX_OPEN_RATE", 429],
  ] as const)("answers %s with %i and Retry-After when no stream can be opened", async (code, status) => {
    const { visitor, routes } = await startProxy(stage);
    routes.register("a.example.test", 1);
    routes.refuseOpen = code;
    const peer = await visitor();
    peer.write(get("/"));
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(status);
    expect(answer.fields.get("duplexity-error")).toBe(code);
    expect(answer.fields.get("retry-after")).toBe("5");
  });

  it("answers 508 to a request that went through this node already", async () => {
    const { visitor, routes } = await startProxy(stage);
    routes.register("a.example.test", 1);
    const peer = await visitor();
    peer.write(get("/", "a.example.test", "Via: 1.1 other, 1.1 duplexity-n1\r\n"));
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(508);
    expect(answer.fields.get("proxy-status")).toBe("duplexity; error=proxy_loop_detected");
    expect(routes.streams.length).toBe(0);
  });

  it("refuses CONNECT with 501 and closes", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    routes.register("a.example.test", 1);
    const peer = await visitor();
    peer.write("CONNECT a.example.test:443 HTTP/1.1\r\nHost: a.example.test:443\r\n\r\n");
    expect((await readAnswer(peer)).status).toBe(501);
    expect(await peer.readAll()).toBe("");
    peer.end();
    await settled();
  });

  it("refuses visitors beyond maxVisitors with 429, but not the server's own clients", async () => {
    const { visitor, routes, settled } = await startProxy(stage, { limits: { maxVisitors: 1 } });
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("a.example.test", origin.port);
    const first = await visitor();
    first.write(get("/"));
    expect((await readAnswer(first)).status).toBe(200);
    const second = await visitor();
    second.write(get("/"));
    expect((await readAnswer(second)).fields.get("duplexity-error")).toBe("DPX_LIMIT");
    expect(await second.readAll()).toBe("");
    const own = await visitor();
    own.write(get("/control", "example.test"));
    expect((await readAnswer(own)).body).toBe("own");
    first.write(get("/"));
    expect((await readAnswer(first)).status).toBe(200);
    first.end();
    second.end();
    await settled();
  });

  it.each(HOSTILE_REQUESTS)("refuses $what and closes, while a neighbour goes on", async ({ bytes, statuses }) => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("cat1.localhost", origin.port);
    const neighbour = await visitor();
    const peer = await visitor();
    peer.write(bytes);
    // A head that does not end waits for the rest; its visitor ends.
    if (!bytes.includes("\r\n\r\n")) peer.end();
    const answer = await readAnswer(peer);
    if (!statuses.includes(200)) expect(answer.fields.get("connection")).toBe("close");
    expect(statuses).toContain(answer.status);
    if (answer.status !== 200) expect(answer.fields.get("duplexity-error")).toMatch(/^DPX_/);
    expect(await peer.readAll()).toBe("");
    neighbour.write(get("/", "cat1.localhost"));
    expect((await readAnswer(neighbour)).body).toBe("hello");
    neighbour.end();
    peer.end();
    await settled();
  });

  it("survives random requests and forgets them", async () => {
    const { visitor, routes, settled } = await startProxy(stage, {
      limits: { headTimeoutMs: 200, idleTimeoutMs: 200 },
    });
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.on("data", () => socket.write(HELLO));
    });
    routes.register("cat1.localhost", origin.port);
    await Promise.all(
      [...randomRequests(7, 300)].map(async (bytes) => {
        const peer = await visitor();
        peer.write(bytes);
        peer.end();
        await peer.readAll().catch(() => "");
        peer.socket.destroy();
      }),
    );
    await settled();
    const peer = await visitor();
    peer.write(get("/", "cat1.localhost"));
    expect((await readAnswer(peer)).body).toBe("hello");
  });
});

describe("errorAnswer", () => {
  const base = {
    code: "DPX_CLIENT_AWAY",
    method: "GET",
    accept: "",
    hostname: "a.example.test",
    close: false,
  } as const;

  it("answers a page, JSON or text as the visitor accepts", () => {
    expect(errorAnswer({ ...base, accept: "text/html,application/xhtml+xml,*/*;q=0.8" })).toMatch(
      /Content-Type: text\/html; charset=utf-8\r\n[\s\S]*\r\n\r\n<!doctype html>/,
    );
    const json = errorAnswer({ ...base, accept: "application/json" });
    expect(JSON.parse(json.slice(json.indexOf("\r\n\r\n")))).toMatchObject({ error: { code: "DPX_CLIENT_AWAY" } });
    expect(errorAnswer({ ...base, accept: "*/*" })).toMatch(/Content-Type: text\/plain[\s\S]*DPX_CLIENT_AWAY\n$/);
  });

  it("answers HEAD with the length and without the body", () => {
    const get = errorAnswer(base);
    const head = errorAnswer({ ...base, method: "HEAD" });
    expect(head.endsWith("\r\n\r\n")).toBe(true);
    expect(get.startsWith(head.slice(0, head.indexOf("Date:")))).toBe(true);
  });

  it("says when to come back, for 503 and 429 only", () => {
    expect(errorAnswer(base)).toContain("\r\nRetry-After: 5\r\n");
    expect(errorAnswer({ ...base, code: "DPX_LIMIT" })).toContain("\r\nRetry-After: 5\r\n");
    expect(errorAnswer({ ...base, code: "DPX_TARGET_REFUSED" })).not.toContain("Retry-After");
  });

  it("puts nothing of a strange hostname into the page", () => {
    const answer = errorAnswer({ ...base, accept: "text/html", hostname: "<script>alert(1)</script>" });
    expect(answer).not.toContain("<script>");
  });
});
