import { describe, expect, it } from "vitest";
import { buildRequestHead, Forwarding, type ForwardingOptions } from "../../src/http/index.ts";
import { get, post, request } from "./read.ts";

function forwarding(options: Partial<ForwardingOptions> = {}): Forwarding {
  return new Forwarding({
    address: "192.0.2.1",
    proto: "https",
    port: 443,
    pseudonym: "dpx-1",
    isTrusted: false,
    ...options,
  });
}

const OURS = [
  "X-Forwarded-Host: cat1.localhost",
  "X-Forwarded-For: 192.0.2.1",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Port: 443",
  "Forwarded: for=192.0.2.1;proto=https;host=cat1.localhost",
  "Via: 1.1 dpx-1",
];

describe("buildRequestHead", () => {
  it("passes fields on as they came, in order, and adds the forwarding fields", () => {
    const head = request(get("Accept:  a ", "cookie: b", "Cookie: c"));
    expect(buildRequestHead(head, forwarding())).toBe(get("Accept:  a ", "cookie: b", "Cookie: c", ...OURS));
  });

  it("takes hop-by-hop fields off (RFC 9110 §7.6.1)", () => {
    const head = request(
      get(
        "Keep-Alive: timeout=5",
        "A: 1",
        "Connection: keep-alive, X-One",
        "x-one: 1",
        "Proxy-Authorization: Basic x",
        "Proxy-Connection: keep-alive",
        "Proxy: evil",
        "Proxying: stays",
        "TE: gzip",
        "Upgrade: websocket",
        "Connection: x-two",
        "X-Two: 2",
        "B: 2",
      ),
    );
    expect(buildRequestHead(head, forwarding())).toBe(get("A: 1", "Proxying: stays", "B: 2", ...OURS));
  });

  it("keeps what frames the body", () => {
    expect(buildRequestHead(request(post("Content-Length: 5", "Connection: X, close", "X: y")), forwarding())).toBe(
      post("Content-Length: 5", ...OURS),
    );
    expect(buildRequestHead(request(post("Transfer-Encoding: chunked", "Trailer: X-Sum")), forwarding())).toBe(
      post("Transfer-Encoding: chunked", "Trailer: X-Sum", ...OURS),
    );
  });

  it("passes Expect on", () => {
    const lines = ["Content-Length: 5", "Expect: 100-continue"];
    expect(buildRequestHead(request(post(...lines)), forwarding())).toBe(post(...lines, ...OURS));
  });

  it("keeps an upgrade, with our Connection", () => {
    const head = request(get("connection: Keep-Alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"));
    expect(buildRequestHead(head, forwarding())).toBe(
      get("Sec-WebSocket-Version: 13", "Connection: Upgrade", "Upgrade: websocket", ...OURS),
    );
  });

  it("keeps TE: trailers and nothing else of TE (RFC 9110 §10.1.4)", () => {
    expect(buildRequestHead(request(get("TE: gzip, trailers", "Connection: TE")), forwarding())).toBe(
      get("Connection: TE", "TE: trailers", ...OURS),
    );
    const both = request(get("TE: trailers", "Connection: TE, upgrade", "Upgrade: a/1"));
    expect(buildRequestHead(both, forwarding())).toBe(
      get("Connection: Upgrade, TE", "Upgrade: a/1", "TE: trailers", ...OURS),
    );
  });

  it("speaks HTTP/1.1 to the target for an HTTP/1.0 visitor and says so in Via", () => {
    const head = request("GET /x HTTP/1.0\r\nHost: cat1.localhost\r\nConnection: keep-alive\r\n\r\n");
    expect(buildRequestHead(head, forwarding())).toBe(
      ["GET /x HTTP/1.1", "Host: cat1.localhost", ...OURS.slice(0, -1), "Via: 1.0 dpx-1", "", ""].join("\r\n"),
    );
  });

  it("drops what a stranger says of the visitor, however it is spelt", () => {
    const head = request(
      get(
        "X-Forwarded-For: 1.1.1.1",
        "x-forwarded-proto: ftp",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /x",
        "X_Forwarded_For: 1.1.1.1",
        "X-Forwarded_Host: evil",
        "X-Real-IP: 1.1.1.1",
        "X_REAL_IP: 1.1.1.1",
        "Forwarded: for=1.1.1.1",
        "X-Forward: stays",
        "X-Requested-With: stays",
      ),
    );
    expect(buildRequestHead(head, forwarding())).toBe(get("X-Forward: stays", "X-Requested-With: stays", ...OURS));
  });

  it("keeps Via, which finds loops, from anyone (RFC 9110 §7.6.3)", () => {
    expect(buildRequestHead(request(get("Via: 1.1 a")), forwarding())).toBe(get("Via: 1.1 a", ...OURS));
  });

  it("adds to what a trusted proxy says", () => {
    const head = request(
      get(
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Real-IP: 203.0.113.7",
        'Forwarded: for="[2001:db8::1]"',
      ),
    );
    expect(buildRequestHead(head, forwarding({ isTrusted: true }))).toBe(
      get(
        "X-Forwarded-For: 203.0.113.7, 10.0.0.1, 192.0.2.1",
        "X-Forwarded-Proto: http",
        "X-Real-IP: 203.0.113.7",
        "X-Forwarded-Host: cat1.localhost",
        "X-Forwarded-Port: 443",
        'Forwarded: for="[2001:db8::1]", for=192.0.2.1;proto=https;host=cat1.localhost',
        "Via: 1.1 dpx-1",
      ),
    );
  });

  it("carries a trusted X-Forwarded-For over into Forwarded (RFC 7239 §7.4)", () => {
    const text = buildRequestHead(
      request(get('X-Forwarded-For: 203.0.113.7, 2001:db8::1, ;";evil')),
      forwarding({ isTrusted: true }),
    );
    expect(text).toContain(
      '\r\nForwarded: for=203.0.113.7, for="[2001:db8::1]", for=evil, for=192.0.2.1;proto=https;host=cat1.localhost\r\n',
    );
  });

  it("sets the fields itself when a trusted proxy says nothing", () => {
    expect(buildRequestHead(request(get()), forwarding({ isTrusted: true }))).toBe(get(...OURS));
  });

  it.each([
    ["2001:db8::1", "2001:db8::1", '"[2001:db8::1]"'],
    ["::ffff:192.0.2.9", "192.0.2.9", "192.0.2.9"],
    ["", "unknown", "unknown"],
  ])("writes the address %j as %s and %s (RFC 7239 §6)", (address, plain, node) => {
    const text = buildRequestHead(request(get()), forwarding({ address }));
    expect(text).toContain(`\r\nX-Forwarded-For: ${plain}\r\n`);
    expect(text).toContain(`\r\nForwarded: for=${node};proto`);
  });

  it("quotes a host with a port in Forwarded (RFC 7239 §4)", () => {
    const text = buildRequestHead(request("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), forwarding());
    expect(text).toContain('host="[::1]:8080"\r\n');
  });

  it("gives the same head again for another request, and another for another head", () => {
    const one = request(get("A: 1"));
    const two = request(get("A: 2"));
    const connection = forwarding();
    for (const head of [one, one, two, one]) {
      const text = get(head === one ? "A: 1" : "A: 2", ...OURS);
      expect(buildRequestHead(head, connection)).toBe(text);
    }
  });

  it("builds a head that is too large to be kept each time, and keeps the one before", () => {
    const large = `A: ${"x".repeat(5_000)}`;
    const heads = [request(get(large)), request(get("A: 1"))] as const;
    const connection = forwarding();
    for (const [head, line] of [
      [heads[1], "A: 1"],
      [heads[0], large],
      [heads[0], large],
      [heads[1], "A: 1"],
    ] as const) {
      expect(buildRequestHead(head, connection)).toBe(get(line, ...OURS));
    }
  });
});
