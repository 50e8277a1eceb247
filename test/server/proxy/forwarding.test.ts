// Who the target is told that the visitor is, behind TLS and behind proxies that are trusted or not.

import { BlockList } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { addressBehind } from "../../../src/server/proxy/visitor-address.ts";
import { createCertificate } from "../../support/certificate.ts";
import { listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin } from "../../support/tcp-origin.ts";
import { RawVisitor } from "../../support/visitor.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HOST = "a.example.test";
const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const SAID = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=203.0.113.9\r\n";

describe("createProxy", () => {
  it("drops what an unknown peer says about the visitor", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(get("/", HOST, SAID));
    await readAnswer(peer);
    expect(origin.received()).not.toContain("203.0.113.9");
    expect(origin.received()).toContain("X-Forwarded-Proto: http\r\n");
    expect(routes.reports[0]?.visitor).toMatch(/^127\.0\.0\.1:/);
  });

  it("keeps and continues what a trusted peer says", async () => {
    const trustProxy = new BlockList();
    trustProxy.addSubnet("127.0.0.0", 8, "ipv4");
    const { visitor, routes } = await startProxy(stage, { trustProxy });
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(get("/", HOST, SAID));
    await readAnswer(peer);
    expect(origin.received()).toContain("X-Forwarded-For: 203.0.113.9, 127.0.0.1\r\n");
    expect(origin.received()).toContain("X-Forwarded-Proto: https\r\n");
    expect(routes.streams[0]?.request.visitor).toBe("203.0.113.9:0");
    expect(routes.reports[0]?.visitor).toBe("203.0.113.9:0");
  });

  it("serves TLS sockets, tells the target so, and answers 421 for hosts that are not ours at all", async () => {
    const { proxy, routes, settled } = await startProxy(stage, { domain: "localhost", publicScheme: "https" });
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("a.localhost", origin.port);
    const server = createTlsServer(await createCertificate(stage), (socket) => proxy.handleConnection(socket));
    stage.defer(() => server.close());
    const socket = connectTls({ port: await listen(server), host: "127.0.0.1", rejectUnauthorized: false });
    const peer = new RawVisitor(socket);
    stage.defer(() => socket.destroy());
    peer.write(get("/", "a.localhost"));
    expect((await readAnswer(peer)).body).toBe("hello");
    expect(origin.received()).toContain("X-Forwarded-Proto: https\r\n");
    expect(routes.streams[0]?.request.isTls).toBe(true);
    for (const [host, status, code] of [
      ["nobody.localhost", 404, "DPX_NAME_UNKNOWN"],
      ["elsewhere.test", 421, "DPX_MISDIRECTED"],
    ] as const) {
      peer.write(get("/", host));
      const answer = await readAnswer(peer);
      expect(answer.status).toBe(status);
      expect(answer.fields.get("duplexity-error")).toBe(code);
    }
    peer.end();
    await settled();
  });
});

describe("addressBehind", () => {
  const trusted = new BlockList();
  trusted.addSubnet("10.0.0.0", 8, "ipv4");
  trusted.addAddress("2001:db8::1", "ipv6");

  it.each([
    [[], null],
    [["203.0.113.9"], "203.0.113.9"],
    [["1.1.1.1, 203.0.113.9, 10.2.3.4"], "203.0.113.9"],
    [["1.1.1.1", "203.0.113.9,10.2.3.4"], "203.0.113.9"],
    [["2001:db8::7, 2001:db8::1"], "2001:db8::7"],
    [["::ffff:203.0.113.9"], "203.0.113.9"],
    [["10.2.3.4"], null],
    [["203.0.113.9, unknown"], ""],
    [["203.0.113.9:4711"], ""],
    [["", " , "], null],
  ])("reads %j as %j", (forwardedFor, address) => {
    expect(addressBehind(forwardedFor, trusted)).toBe(address);
  });
});
