import { describe, expect, it } from "vitest";
import { HTTP_LIMITS, parseRequestHead } from "../../src/http/index.ts";
import { get, post, refused, request } from "./read.ts";

const BROKEN = "DPX_REQUEST_INVALID: Cannot read the request: ";

describe("parseRequestHead", () => {
  it("reads a plain request", () => {
    const head = request("GET /a/b?c=d HTTP/1.1\r\nHost: Cat1.Localhost.:8080\r\nAccept:*/*\r\nX-Empty:\r\n\r\n");
    expect(head).toMatchObject({
      method: "GET",
      target: "/a/b?c=d",
      form: "origin",
      version: 1,
      host: "cat1.localhost",
      port: 8080,
      hostHeader: "Cat1.Localhost.:8080",
      framing: { kind: "none" },
      keepAlive: true,
      upgrade: null,
      expectContinue: false,
      acceptsTrailers: false,
      connectionTokens: [],
    });
    expect(head.fields()).toEqual(["Host", "Cat1.Localhost.:8080", "Accept", "*/*", "X-Empty", ""]);
  });

  it("finds fields in any case and takes the space around values away", () => {
    const head = request(get("X-Thing: \t two words \t "));
    expect(head.field("x-thing")).toBe("two words");
    expect(head.field("x-other")).toBeNull();
  });

  it("keeps obs-text in values as it came", () => {
    expect(request(get("X-Name: caf\xc3\xa9")).field("x-name")).toBe("caf\xc3\xa9");
  });

  it("skips one empty line before the request line, not two (RFC 9112 §2.2)", () => {
    expect(request(`\r\n${get()}`).method).toBe("GET");
    expect(refused(parseRequestHead(`\r\n\r\n${get()}`))).toBe(`${BROKEN}empty lines stand before the request line`);
    expect(refused(parseRequestHead(`\n${get()}`))).toContain("empty lines");
  });

  it("forwards one empty line before the request line to nobody", () => {
    expect(request(`\r\n${get()}`).forwarded).toBe("GET / HTTP/1.1\r\nHost: cat1.localhost\r\n");
  });
});

describe("parseRequestHead, request line (RFC 9112 §3)", () => {
  const lines: [line: string, message: string][] = [
    ["GET  / HTTP/1.1", `${BROKEN}the request target is missing`],
    ["GET / HTTP/1.1 ", `${BROKEN}the request line ends in "HTTP/1.1 \\r", not in an HTTP version and CRLF`],
    ["GET /  HTTP/1.1", `${BROKEN}the request line ends in " HTTP/1.1\\r", not in an HTTP version and CRLF`],
    ["GET\t/ HTTP/1.1", `${BROKEN}the request line begins with "GET\\t/ HTTP/1.1", not with a method and a space`],
    [" GET / HTTP/1.1", `${BROKEN}the request line begins with " GET / HTTP/1.1", not with a method and a space`],
    ["GET /", `${BROKEN}the request target holds byte 0x0d`],
    ["GET", `${BROKEN}the request line begins with "GET", not with a method and a space`],
    ["GET / http/1.1", `${BROKEN}the request line ends in "http/1.1\\r\\n", not in an HTTP version and CRLF`],
    ["GET / HTTP/1.01", `${BROKEN}the request line ends in "HTTP/1.01\\r", not in an HTTP version and CRLF`],
    ["GET / HTTP/1.1\n", `${BROKEN}the request line ends in "HTTP/1.1\\n\\r", not in an HTTP version and CRLF`],
    ["GE(T / HTTP/1.1", `${BROKEN}the request line begins with "GE(T / HTTP/1.1", not with a method and a space`],
    ["GET /caf\xe9 HTTP/1.1", `${BROKEN}the request target holds byte 0xe9`],
    ["GET /a\0b HTTP/1.1", `${BROKEN}the request target holds byte 0x00`],
    ["GET /a\x7fb HTTP/1.1", `${BROKEN}the request target holds byte 0x7f`],
    ["GET /a#b HTTP/1.1", `${BROKEN}the request target holds "#"`],
    ["GET /a\tb HTTP/1.1", `${BROKEN}the request target holds byte 0x09`],
    ["GET a HTTP/1.1", `${BROKEN}the target "a" is neither a path nor an http URL`],
    ["GET ?a HTTP/1.1", `${BROKEN}the target "?a" is neither a path nor an http URL`],
    [
      "GET ftp://cat1.localhost/ HTTP/1.1",
      `${BROKEN}the target "ftp://cat1.localhost/" is neither a path nor an http URL`,
    ],
    ["GET * HTTP/1.1", `${BROKEN}the target "*" belongs to OPTIONS, not to GET`],
    ["GET / HTTP/2.0", "DPX_VERSION_UNSUPPORTED: Cannot speak HTTP/2.0: HTTP/1.1 and HTTP/1.0 are supported"],
    ["GET / HTTP/1.2", "DPX_VERSION_UNSUPPORTED: Cannot speak HTTP/1.2: HTTP/1.1 and HTTP/1.0 are supported"],
    ["GET / HTTP/0.9", "DPX_VERSION_UNSUPPORTED: Cannot speak HTTP/0.9: HTTP/1.1 and HTTP/1.0 are supported"],
    ["PRI * HTTP/2.0", "DPX_VERSION_UNSUPPORTED: Cannot speak HTTP/2.0: HTTP/1.1 and HTTP/1.0 are supported"],
    [
      "CONNECT cat1.localhost:443 HTTP/1.1",
      'DPX_NOT_IMPLEMENTED: Cannot pass the method "CONNECT" on: it is not supported',
    ],
    ["get / HTTP/1.1", 'DPX_NOT_IMPLEMENTED: Cannot pass the method "get" on: it is not supported'],
    ["BREW /pot HTTP/1.1", 'DPX_NOT_IMPLEMENTED: Cannot pass the method "BREW" on: it is not supported'],
  ];
  it.each(lines)("refuses %j", (line, message) => {
    expect(refused(parseRequestHead(`${line}\r\nHost: cat1.localhost\r\n\r\n`))).toBe(message);
  });

  it("passes what browsers send unencoded in a path and query", () => {
    expect(request("GET /a|b^[]{}\"<>\\`?x='|'&y=%zz HTTP/1.1\r\nHost: a\r\n\r\n").target).toBe(
      "/a|b^[]{}\"<>\\`?x='|'&y=%zz",
    );
  });

  it("knows the methods of node:http but CONNECT", () => {
    for (const method of ["HEAD", "PATCH", "PROPFIND", "M-SEARCH", "QUERY"]) {
      expect(request(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`).method).toBe(method);
    }
  });
});

describe("parseRequestHead, absolute-form (RFC 9112 §3.2.2)", () => {
  it.each([
    ["GET http://Cat1.localhost/a?b HTTP/1.1", "cat1.localhost", "/a?b"],
    ["GET http://cat1.localhost:80/ HTTP/1.1", "cat1.localhost", "/"],
    ["GET HTTP://cat1.localhost. HTTP/1.1", "cat1.localhost", "/"],
    ["GET http://cat1.localhost?x HTTP/1.1", "cat1.localhost:80", "/?x"],
    ["GET https://cat1.localhost/x HTTP/1.1", "cat1.localhost:443", "/x"],
    ["OPTIONS http://cat1.localhost HTTP/1.1", "cat1.localhost", "*"],
    ["OPTIONS http://cat1.localhost/ HTTP/1.1", "cat1.localhost", "/"],
  ])("reads %j for Host %j as %j", (line, host, target) => {
    const head = request(`${line}\r\nHost: ${host}\r\n\r\n`);
    expect([head.form, head.target, head.host]).toEqual(["absolute", target, "cat1.localhost"]);
    expect(head.forwarded).toBe(`${head.method} ${target} HTTP/1.1\r\nHost: ${host}\r\n`);
  });

  it.each([
    ["http://cat2.localhost/", "cat1.localhost", 'its Host "cat1.localhost" is not the host of its target'],
    ["http://cat1.localhost:81/", "cat1.localhost", 'its Host "cat1.localhost" is not the host of its target'],
    ["https://cat1.localhost/", "cat1.localhost:80", 'its Host "cat1.localhost:80" is not the host of its target'],
    ["http://me@cat1.localhost/", "cat1.localhost", 'the host in the target "http://me@cat1.localhost/" has userinfo'],
    [
      "http://me:1@cat1.localhost/",
      "cat1.localhost",
      'the host in the target "http://me:1@cat1.localhost/" has userinfo',
    ],
    ["http:///", "cat1.localhost", 'the host in the target "http:///" is empty'],
    [
      "http://cat1.localhost:/",
      "cat1.localhost",
      'the host in the target "http://cat1.localhost:/" has an invalid port',
    ],
  ])("refuses %j for Host %j", (target, host, why) => {
    expect(refused(parseRequestHead(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))).toBe(BROKEN + why);
  });
});

describe("parseRequestHead, Host (RFC 9112 §3.2)", () => {
  it.each([
    ["Cat1.LOCALHOST", "cat1.localhost", null],
    ["cat1.localhost.", "cat1.localhost", null],
    ["cat1.localhost.:1", "cat1.localhost", 1],
    ["127.0.0.1:65535", "127.0.0.1", 65535],
    ["[::1]", "[::1]", null],
    ["[2001:DB8::1]:8080", "[2001:db8::1]", 8080],
    ["my_cat.localhost", "my_cat.localhost", null],
  ])("reads %j", (host, canonical, port) => {
    const head = request(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect([head.host, head.port, head.hostHeader]).toEqual([canonical, port, host]);
  });

  it.each([
    ["", "is empty"],
    [".", "has an empty label"],
    [":80", "has no hostname"],
    ["a..b", "has an empty label"],
    [".a", "has an empty label"],
    ["a.:b", "has an invalid port"],
    ["a:0", "has an invalid port"],
    ["a:65536", "has an invalid port"],
    ["a:080000", "has an invalid port"],
    ["a:", "has an invalid port"],
    ["a:+1", "has an invalid port"],
    ["a:1:2", "has an invalid port"],
    ["me@a", "has userinfo"],
    ["me:secret@a", "has userinfo"],
    ["a/b", "has a character that no hostname has"],
    ["a b", "has a character that no hostname has"],
    ["a,b", "has a character that no hostname has"],
    ["a%2eb", "has a character that no hostname has"],
    ["caf\xe9", "has a character that no hostname has"],
    ["[::1", "has no valid IPv6 address in its brackets"],
    ["[1.2.3.4]", "has no valid IPv6 address in its brackets"],
    ["[fe80::1%25eth0]", "has no valid IPv6 address in its brackets"],
    ["[::1]x", "has an invalid port"],
    ["[::1]:", "has an invalid port"],
    [`${"a".repeat(64)}.b`, "has a label longer than 63 characters"],
    [`b.${"a".repeat(64)}`, "has a label longer than 63 characters"],
  ])("refuses %j", (host, why) => {
    expect(refused(parseRequestHead(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`))).toMatch(
      new RegExp(`^DPX_REQUEST_INVALID: Cannot read the request: its Host ".*" ${why}$`),
    );
  });

  it("refuses a hostname longer than DNS has", () => {
    const host = `${"abcdefg.".repeat(32)}a`;
    expect(refused(parseRequestHead(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`))).toContain("longer than 253");
  });

  it("refuses none, and two, even if they are equal", () => {
    expect(refused(parseRequestHead("GET / HTTP/1.1\r\nA: b\r\n\r\n"))).toBe(`${BROKEN}it has no Host`);
    expect(refused(parseRequestHead("GET / HTTP/1.0\r\n\r\n"))).toBe(`${BROKEN}it has no Host`);
    expect(refused(parseRequestHead(get("hOST: cat1.localhost")))).toBe(`${BROKEN}it has two Host fields`);
  });
});

describe("parseRequestHead, field lines (RFC 9112 §5)", () => {
  it.each([
    ["X-A : b", 'white space stands before the colon of "X-A"'],
    ["X-A\t: b", 'white space stands before the colon of "X-A"'],
    [" folded", "a line begins with white space (obs-fold)"],
    ["\tfolded", "a line begins with white space (obs-fold)"],
    [": b", "a field has no name"],
    ["X-A", 'the line "X-A" has no colon'],
    ["X(A: b", 'the field name "X" is followed by "("'],
    ["X\xe9: b", 'the field name "X" is followed by byte 0xe9'],
    ["X\0: b", 'the field name "X" is followed by byte 0x00'],
    ["X-A: b\rc", "it holds a CR without LF"],
    ["X-A: b\nc", "it holds an LF without CR"],
    ["X-A: b\nX-B: c", "it holds an LF without CR"],
    ["X-A: b\r\rX-B: c", "it holds a CR without LF"],
    ["X-A: b\r\n\rX-B: c", "it holds a CR without LF"],
    ["X-A\n: b", "it holds an LF without CR"],
    ["X-A: b\0", 'the value of "X-A" holds byte 0x00'],
    ["X-A: \x1b[31m", 'the value of "X-A" holds byte 0x1b'],
    ["X-A: \x7f", 'the value of "X-A" holds byte 0x7f'],
    ["X-A: \x0b", 'the value of "X-A" holds byte 0x0b'],
  ])("refuses %j", (line, why) => {
    expect(refused(parseRequestHead(get(line)))).toBe(BROKEN + why);
  });

  it("refuses a head whose end is not where it should be", () => {
    expect(refused(parseRequestHead(get().slice(0, -1)))).toContain("DPX_REQUEST_INVALID");
    expect(refused(parseRequestHead(get().slice(0, -2)))).toContain("DPX_REQUEST_INVALID");
    expect(refused(parseRequestHead(`${get()}GET`))).toContain("DPX_REQUEST_INVALID");
    expect(refused(parseRequestHead(""))).toContain("DPX_REQUEST_INVALID");
  });
});

describe("parseRequestHead, framing (RFC 9112 §6)", () => {
  it.each([
    ["Content-Length: 0", { kind: "length", bytes: 0 }],
    ["Content-Length: 12", { kind: "length", bytes: 12 }],
    ["content-length:  9007199254740991  ", { kind: "length", bytes: Number.MAX_SAFE_INTEGER }],
    ["Transfer-Encoding: chunked", { kind: "chunked" }],
    ["transfer-encoding: CHUNKED", { kind: "chunked" }],
    ["X-A: b", { kind: "none" }],
  ])("reads %j", (line, framing) => {
    expect(request(post(line)).framing).toEqual(framing);
  });

  it.each([
    [["Content-Length: 5", "Transfer-Encoding: chunked"], "it has both Content-Length and Transfer-Encoding"],
    [["Transfer-Encoding: chunked", "Content-Length: 5"], "it has both Content-Length and Transfer-Encoding"],
    [["Content-Length: 5", "Content-Length: 6"], "it has two Content-Length fields"],
    [["Content-Length: 5", "content-length: 5"], "it has two Content-Length fields"],
    [["Content-Length: 5, 5"], 'its Content-Length "5, 5" is not a plain number'],
    [["Content-Length:"], 'its Content-Length "" is not a plain number'],
    [["Content-Length: +5"], 'its Content-Length "+5" is not a plain number'],
    [["Content-Length: -5"], 'its Content-Length "-5" is not a plain number'],
    [["Content-Length: 0x5"], 'its Content-Length "0x5" is not a plain number'],
    [["Content-Length: 5 5"], 'its Content-Length "5 5" is not a plain number'],
    [["Content-Length: 05"], 'its Content-Length "05" is not a plain number'],
    [["Content-Length: 5.0"], 'its Content-Length "5.0" is not a plain number'],
    [["Content-Length: 9007199254740992"], 'its Content-Length "9007199254740992" is not a plain number'],
    [["Content-Length: 18446744073709551621"], 'its Content-Length "18446744073709551621" is not a plain number'],
    [["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "it has two Transfer-Encoding fields"],
    [["Transfer-Encoding: chunked, chunked"], 'its Transfer-Encoding "chunked, chunked" is not chunked'],
    [["Transfer-Encoding: chunked,"], 'its Transfer-Encoding "chunked," is not chunked'],
    [["Transfer-Encoding: chunked;q=1"], 'its Transfer-Encoding "chunked;q=1" is not chunked'],
    [["Transfer-Encoding: \x0bchunked"], 'the value of "Transfer-Encoding" holds byte 0x0b'],
    [["Transfer-Encoding: chunked\t"], 'a tab stands beside the value of "Transfer-Encoding"'],
    [["Transfer-Encoding:\tchunked"], 'a tab stands beside the value of "Transfer-Encoding"'],
    [["Content-Length: \t5"], 'a tab stands beside the value of "Content-Length"'],
    [["Content-Length: 5 \t "], 'a tab stands beside the value of "Content-Length"'],
    [["Transfer-Encoding:"], 'its Transfer-Encoding "" is not chunked'],
    [["Transfer-Encoding : chunked"], 'white space stands before the colon of "Transfer-Encoding"'],
  ])("refuses %j", (lines, why) => {
    expect(refused(parseRequestHead(post(...lines)))).toBe(BROKEN + why);
  });

  it.each(["gzip", "gzip, chunked", "identity", "chunked, gzip", "xchunked", "deflate"])(
    "answers 501 to the transfer coding %j",
    (coding) => {
      expect(refused(parseRequestHead(post(`Transfer-Encoding: ${coding}`)))).toBe(
        `DPX_NOT_IMPLEMENTED: Cannot read the request: its Transfer-Encoding "${coding}" is not chunked`,
      );
    },
  );

  it("refuses a Transfer-Encoding on HTTP/1.0 (§6.1)", () => {
    expect(refused(parseRequestHead("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"))).toBe(
      `${BROKEN}HTTP/1.0 has no Transfer-Encoding`,
    );
  });

  it("refuses TRACE with content (RFC 9110 §9.3.8)", () => {
    expect(refused(parseRequestHead("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"))).toBe(
      `${BROKEN}TRACE has no content`,
    );
  });
});

describe("parseRequestHead, Connection (RFC 9112 §9.3)", () => {
  it.each([
    ["1.1", "X: y", true],
    ["1.1", "Connection: close", false],
    ["1.1", "Connection: Keep-Alive, CLOSE", false],
    ["1.1", "Connection: keep-alive", true],
    ["1.0", "X: y", false],
    ["1.0", "Connection: Keep-Alive", true],
    ["1.0", "Connection: keep-alive, close", false],
  ])("HTTP/%s with %j: persistent %s", (version, line, keepAlive) => {
    expect(request(`GET / HTTP/${version}\r\nHost: a\r\n${line}\r\n\r\n`).keepAlive).toBe(keepAlive);
  });

  it("joins several fields and skips empty members", () => {
    expect(request(get("Connection: close, ,", "X: y", "connection: X")).connectionTokens).toEqual(["close", "x"]);
  });

  it.each([
    ["Connection: a b", "Connection is not a list of tokens"],
    ['Connection: "close"', "Connection is not a list of tokens"],
    ["Connection: Host", "Connection names host, which is not the connection's"],
    ["Connection: close, Content-Length", "Connection names content-length, which is not the connection's"],
    ["Connection: transfer-encoding", "Connection names transfer-encoding, which is not the connection's"],
  ])("refuses %j", (line, why) => {
    expect(refused(parseRequestHead(get(line)))).toBe(BROKEN + why);
  });
});

describe("parseRequestHead, Upgrade, Expect and TE", () => {
  it("sees an upgrade only if Connection names it, on HTTP/1.1 (RFC 9110 §7.8)", () => {
    expect(request(get("Connection: keep-alive, Upgrade", "Upgrade: websocket")).upgrade).toBe("websocket");
    expect(request(get("Upgrade: websocket")).upgrade).toBeNull();
    expect(request(get("Connection: upgrade")).upgrade).toBeNull();
    expect(
      request("GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade,
    ).toBeNull();
  });

  it.each(["h2c", "H2C", "websocket, h2c", "h2c/1", "h2", "a b", "", "web socket/1"])(
    "ignores the upgrade %j",
    (upgrade) => {
      const head = request(get("Connection: Upgrade, HTTP2-Settings", `Upgrade: ${upgrade}`, "HTTP2-Settings: AAM"));
      expect(head.upgrade).toBeNull();
      expect(head.forwarded).toBe("GET / HTTP/1.1\r\nHost: cat1.localhost\r\n");
    },
  );

  it("sees Expect: 100-continue on HTTP/1.1 alone (RFC 9110 §10.1.1)", () => {
    expect(request(post("Expect: 100-Continue")).expectContinue).toBe(true);
    expect(request(post("Expect: other")).expectContinue).toBe(false);
    const old = request("POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    expect([old.expectContinue, old.forwarded]).toEqual([false, "POST / HTTP/1.1\r\nHost: a\r\n"]);
  });

  it("sees TE: trailers among others", () => {
    expect(request(get("TE: trailers")).acceptsTrailers).toBe(true);
    expect(request(get("TE: deflate, trailers")).acceptsTrailers).toBe(true);
    expect(request(get("TE: deflate")).acceptsTrailers).toBe(false);
  });
});

describe("parseRequestHead, limits", () => {
  it("takes a head of exactly maxHeadBytes and refuses one more", () => {
    const room = HTTP_LIMITS.maxHeadBytes - get("X: ").length;
    expect(request(get(`X: ${"y".repeat(room)}`)).method).toBe("GET");
    expect(refused(parseRequestHead(get(`X: ${"y".repeat(room + 1)}`)))).toBe(
      "DPX_HEAD_TOO_LARGE: Cannot read the request: its head passes 65536 bytes",
    );
  });

  it("takes maxFields fields and refuses one more", () => {
    const lines = Array.from({ length: HTTP_LIMITS.maxFields - 1 }, (_, at) => `X-${at}: y`);
    expect(request(get(...lines)).fields()).toHaveLength(400);
    expect(refused(parseRequestHead(get(...lines, "X: y")))).toBe(
      "DPX_HEAD_TOO_LARGE: Cannot read the request: it has more than 200 fields",
    );
  });

  it("refuses a request line longer than maxStartLineBytes", () => {
    const line = (length: number) => `GET /${"a".repeat(length - 5)} HTTP/1.1\r\nHost: a\r\n\r\n`;
    expect(request(line(HTTP_LIMITS.maxStartLineBytes)).host).toBe("a");
    expect(refused(parseRequestHead(line(HTTP_LIMITS.maxStartLineBytes + 1)))).toBe(
      "DPX_HEAD_TOO_LARGE: Cannot read the request line: it is longer than 16384 bytes",
    );
  });

  it("never repeats more than 40 characters of what it refuses", () => {
    const host = `${"\u009b".repeat(100)}${"x".repeat(1_000)}`;
    const message = refused(parseRequestHead(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
    expect(message.length).toBeLessThan(300);
    // C1 controls act on terminals as escape sequences do.
    expect(message).not.toContain("\u009b");
  });
});

describe("RequestHead", () => {
  it("knows whether Via names a node", () => {
    const head = request(get("Via: 1.1 other, HTTP/1.1 dpx-1 (a comment)", "Via: 1.0 dpx-22"));
    expect(head.wentThrough("dpx-1")).toBe(true);
    expect(head.wentThrough("dpx-22")).toBe(true);
    expect(head.wentThrough("dpx-2")).toBe(false);
    expect(head.wentThrough("comment)")).toBe(false);
    expect(request(get()).wentThrough("dpx-1")).toBe(false);
  });
});
