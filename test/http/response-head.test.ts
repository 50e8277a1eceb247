import { describe, expect, it } from "vitest";
import { HTTP_LIMITS, parseResponseHead } from "../../src/http/index.ts";
import { GET, ok, refused, response } from "./read.ts";

const BROKEN = "DPX_TARGET_ANSWER: Cannot read the target's answer: ";
const WEBSOCKET = { method: "GET", upgrade: "websocket" };

describe("parseResponseHead", () => {
  it("reads a plain answer", () => {
    const head = response("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n");
    expect(head).toMatchObject({
      status: 404,
      reason: "Not Found",
      version: 1,
      framing: { kind: "length", bytes: 5 },
      keepAlive: true,
      upgrade: null,
      isInterim: false,
    });
    expect(head.fields()).toEqual(["Content-Length", "5", "Set-Cookie", "a", "Set-Cookie", "b"]);
    expect(head.field("set-cookie")).toBe("a");
  });

  it.each([
    ["HTTP/1.1 200 ", 200, ""],
    ["HTTP/1.1 200", 200, ""],
    ["HTTP/1.0 200 Tr\xe8s bien\tfait", 200, "Tr\xe8s bien\tfait"],
    ["HTTP/1.1 999 Request denied", 999, "Request denied"],
  ])("reads the status line %j (RFC 9112 §4)", (line, status, reason) => {
    expect(response(`${line}\r\n\r\n`)).toMatchObject({ status, reason });
  });

  it.each([
    ["", 'it begins with "\\r\\n\\r\\n", not with HTTP/1.1 or HTTP/1.0'],
    ["\r\nHTTP/1.1 200 OK", 'it begins with "\\r\\nHTTP/1", not with HTTP/1.1 or HTTP/1.0'],
    ["<html>", 'it begins with "<html>\\r\\n", not with HTTP/1.1 or HTTP/1.0'],
    ["ICY 200 OK", 'it begins with "ICY 200 ", not with HTTP/1.1 or HTTP/1.0'],
    ["HTTP/2 200", 'it begins with "HTTP/2 2", not with HTTP/1.1 or HTTP/1.0'],
    ["HTTP/1.2 200 OK", 'its version "HTTP/1.2" is not HTTP/1.1 or HTTP/1.0'],
    ["HTTP/1.1 20 OK", 'its status "20 " is not a number of three digits'],
    ["HTTP/1.1 2000 OK", 'its status line "HTTP/1.1 2000 OK\\r\\n\\r\\n" is malformed'],
    ["HTTP/1.1 -20 OK", 'its status "-20" is not a number of three digits'],
    ["HTTP/1.1 099 OK", 'its status line "HTTP/1.1 099 OK\\r\\n\\r\\n" is malformed'],
    ["HTTP/1.1  200 OK", 'its status " 20" is not a number of three digits'],
    ["HTTP/1.1\t200 OK", 'its status line "HTTP/1.1\\t200 OK\\r\\n\\r\\n" is malformed'],
    ["HTTP/1.1 200OK", 'its status line "HTTP/1.1 200OK\\r\\n\\r\\n" is malformed'],
    ["HTTP/1.1 200 O\0K", "its status line holds byte 0x00"],
    ["HTTP/1.1 200 O\rK", "its status line holds byte 0x0d"],
    ["HTTP/1.1 200 OK\nX: y", "its status line holds byte 0x0a"],
  ])("refuses the status line %j", (line, why) => {
    expect(refused(parseResponseHead(`${line}\r\n\r\n`, GET))).toBe(BROKEN + why);
  });
});

describe("parseResponseHead, framing (RFC 9112 §6.3)", () => {
  it.each([
    ["GET", 200, [], { kind: "close" }],
    ["GET", 200, ["Content-Length: 0"], { kind: "length", bytes: 0 }],
    ["GET", 200, ["Transfer-Encoding: Chunked"], { kind: "chunked" }],
    ["HEAD", 200, ["Content-Length: 5"], { kind: "none" }],
    ["HEAD", 200, ["Transfer-Encoding: chunked"], { kind: "none" }],
    ["HEAD", 200, [], { kind: "none" }],
    ["GET", 204, [], { kind: "none" }],
    ["GET", 204, ["Content-Length: 0"], { kind: "none" }],
    ["GET", 304, ["Content-Length: 5"], { kind: "none" }],
    ["GET", 100, [], { kind: "none" }],
    ["GET", 103, ["Link: </a.css>"], { kind: "none" }],
  ])("%s answered by %i %j", (method, status, lines, framing) => {
    const head = response([`HTTP/1.1 ${status} X`, ...lines, "", ""].join("\r\n"), { method, upgrade: null });
    expect(head.framing).toEqual(framing);
    expect(head.isInterim).toBe(status < 200);
  });

  it.each([
    [200, ["Content-Length: 5", "Transfer-Encoding: chunked"], "it has both Content-Length and Transfer-Encoding"],
    [200, ["Content-Length: 5", "Content-Length: 5"], "it has two Content-Length fields"],
    [200, ["Content-Length: 5,5"], 'its Content-Length "5,5" is not a plain number'],
    [200, ["Transfer-Encoding: gzip, chunked"], 'its Transfer-Encoding "gzip, chunked" is not chunked'],
    [200, ["Transfer-Encoding: identity"], 'its Transfer-Encoding "identity" is not chunked'],
    [204, ["Content-Length: 5"], "it is a 204 that announces content"],
    [204, ["Transfer-Encoding: chunked"], "it is a 204 that announces content"],
    [100, ["Content-Length: 5"], "it is a 100 that announces content"],
    [103, ["Transfer-Encoding: chunked"], "it is a 103 that announces content"],
    [304, ["Transfer-Encoding: x"], 'its Transfer-Encoding "x" is not chunked'],
    [200, [" folded"], "a line begins with white space (obs-fold)"],
    [200, ["X : y"], 'white space stands before the colon of "X"'],
    [200, ["X: y\nZ: z"], "it holds an LF without CR"],
    [200, ["Connection: a b"], "Connection is not a list of tokens"],
  ])("refuses %i %j", (status, lines, why) => {
    const text = [`HTTP/1.1 ${status} X`, ...lines, "", ""].join("\r\n");
    expect(refused(parseResponseHead(text, GET))).toBe(BROKEN + why);
  });

  it("refuses a Transfer-Encoding on HTTP/1.0", () => {
    expect(refused(parseResponseHead("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GET))).toBe(
      `${BROKEN}HTTP/1.0 has no Transfer-Encoding`,
    );
  });
});

describe("parseResponseHead, connection", () => {
  it.each([
    ["HTTP/1.1 200 OK\r\nContent-Length: 1", true],
    ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close", false],
    ["HTTP/1.1 200 OK", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 1", false],
    ["HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive", true],
    ["HTTP/1.0 200 OK\r\nConnection: keep-alive", false],
    ["HTTP/1.1 204 No Content", true],
  ])("%j: reusable %s", (text, keepAlive) => {
    expect(response(`${text}\r\n\r\n`).keepAlive).toBe(keepAlive);
  });

  it("takes a 101 that was asked for, and no other (RFC 9110 §7.8)", () => {
    const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const head = response(switching, WEBSOCKET);
    expect(head).toMatchObject({ upgrade: "websocket", keepAlive: false, isInterim: false, framing: { kind: "none" } });
    expect(refused(parseResponseHead(switching, GET))).toBe(
      `${BROKEN}it is a 101, but the request asked for no upgrade`,
    );
    expect(refused(parseResponseHead("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", WEBSOCKET))).toBe(
      `${BROKEN}it is a 101 without Connection: Upgrade`,
    );
    expect(refused(parseResponseHead("HTTP/1.1 101 X\r\nConnection: upgrade\r\n\r\n", WEBSOCKET))).toBe(
      `${BROKEN}it is a 101 without Connection: Upgrade`,
    );
  });
});

describe("parseResponseHead, limits", () => {
  it("refuses one byte and one field too many", () => {
    const room = HTTP_LIMITS.maxHeadBytes - ok("X: ").length;
    expect(response(ok(`X: ${"y".repeat(room)}`)).status).toBe(200);
    expect(refused(parseResponseHead(ok(`X: ${"y".repeat(room + 1)}`), GET))).toBe(
      `${BROKEN}its head passes 65536 bytes`,
    );
    expect(refused(parseResponseHead(ok(...new Array<string>(201).fill("X: y")), GET))).toBe(
      `${BROKEN}it has more than 200 fields`,
    );
    expect(refused(parseResponseHead(`HTTP/1.1 200 ${"y".repeat(17_000)}\r\n\r\n`, GET))).toBe(
      `${BROKEN}its status line is longer than 16384 bytes`,
    );
  });
});
