// docs/http-strictness.md, row by row: what node:http refuses too, and what we
// refuse beyond it.

import { afterAll, describe, expect, it } from "vitest";
import { NodeHttp } from "./fuzz/node-http.ts";
import { get, post } from "./read.ts";
import { readRequests } from "./read-stream.ts";

const node = new NodeHttp(false);
afterAll(() => node.close());

function chunked(body: string): string {
  return post("Transfer-Encoding: chunked") + body;
}

async function verdicts(text: string): Promise<[ours: string, node: "accepts" | "refuses"]> {
  const bytes = Buffer.from(text, "latin1");
  const { requests, error } = await node.read(bytes);
  const isAccepted = error === null && requests.length > 0 && requests.every(({ isComplete }) => isComplete);
  return [readRequests([bytes]).fault?.code ?? "accepted", isAccepted ? "accepts" : "refuses"];
}

describe("the proxy and node:http both refuse", () => {
  it.each([
    ["a CR without LF", get("X: a\rb"), "DPX_REQUEST_INVALID"],
    ["an LF without CR", get("X: a\nY: b"), "DPX_REQUEST_INVALID"],
    ["an LF in chunk framing", chunked("3\nabc\r\n0\r\n\r\n"), "DPX_REQUEST_INVALID"],
    ["a folded line", get("X: a", " b"), "DPX_REQUEST_INVALID"],
    ["white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["white space before a colon", get("X : a"), "DPX_REQUEST_INVALID"],
    ["a name that is no token", get("X(): a"), "DPX_REQUEST_INVALID"],
    ["a line without a colon", get("X"), "DPX_REQUEST_INVALID"],
    ["NUL in a value", get("X: a\0b"), "DPX_REQUEST_INVALID"],
    ["CL and TE", `${post("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\n`, "DPX_REQUEST_INVALID"],
    ["two CL", `${post("Content-Length: 1", "Content-Length: 1")}x`, "DPX_REQUEST_INVALID"],
    ["a list of CL", `${post("Content-Length: 1, 1")}x`, "DPX_REQUEST_INVALID"],
    ["a signed CL", `${post("Content-Length: +1")}x`, "DPX_REQUEST_INVALID"],
    ["a tab behind TE", `${post("Transfer-Encoding: chunked\t")}0\r\n\r\n`, "DPX_REQUEST_INVALID"],
    ["a chunk size that is not hex", chunked("0x3\r\nabc\r\n0\r\n\r\n"), "DPX_REQUEST_INVALID"],
    ["a chunk size past 2^64", chunked("10000000000000003\r\nabc\r\n0\r\n\r\n"), "DPX_REQUEST_INVALID"],
    ["white space behind a chunk size", chunked("3 \r\nabc\r\n0\r\n\r\n"), "DPX_REQUEST_INVALID"],
    ["a chunk longer than its size", chunked("3\r\nabcd\r\n0\r\n\r\n"), "DPX_REQUEST_INVALID"],
    ["a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["a byte over 0x7e in the target", "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["no Host", "GET / HTTP/1.1\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["an unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_NOT_IMPLEMENTED"],
    ["an unknown version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "DPX_VERSION_UNSUPPORTED"],
    ["two TE", `${post(...new Array<string>(2).fill("Transfer-Encoding: chunked"))}0\r\n\r\n`, "DPX_REQUEST_INVALID"],
    ["TE that does not end in chunked", post("Transfer-Encoding: chunked, gzip"), "DPX_NOT_IMPLEMENTED"],
    ["white space in a chunk extension", chunked("3; a=b\r\nabc\r\n0\r\n\r\n"), "DPX_REQUEST_INVALID"],
  ])("%s", async (_what, text, code) => {
    expect(await verdicts(text)).toEqual([code, "refuses"]);
  });
});

describe("the proxy refuses beyond node:http", () => {
  it.each([
    ["two Hosts", get("Host: cat1.localhost"), "DPX_REQUEST_INVALID"],
    ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["userinfo in Host", "GET / HTTP/1.1\r\nHost: me@a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["a bad port in Host", "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["no Host on HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["another host in the target", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["another scheme in the target", "GET ws://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["* without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "DPX_REQUEST_INVALID"],
    ["two empty lines before the request", `\r\n\r\n${get()}`, "DPX_REQUEST_INVALID"],
    ["an LF before the request", `\n${get()}`, "DPX_REQUEST_INVALID"],
    ["TRACE with content", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "DPX_REQUEST_INVALID"],
    ["another coding before chunked", `${post("Transfer-Encoding: gzip, chunked")}0\r\n\r\n`, "DPX_NOT_IMPLEMENTED"],
    [
      "TE on HTTP/1.0",
      "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "DPX_REQUEST_INVALID",
    ],
    ["a leading zero in CL", `${post("Content-Length: 01")}x`, "DPX_REQUEST_INVALID"],
    ["Connection that is no list", get("Connection: a b"), "DPX_REQUEST_INVALID"],
    ["Connection that names Host", get("Connection: host"), "DPX_REQUEST_INVALID"],
    ["an extension without a name", chunked('0;a;="b"\r\n\r\n'), "DPX_REQUEST_INVALID"],
    ["Authorization in a trailer", chunked("0\r\nAuthorization: x\r\n\r\n"), "DPX_REQUEST_INVALID"],
  ])("%s", async (_what, text, code) => {
    expect(await verdicts(text)).toEqual([code, "accepts"]);
  });

  it("a tab behind CL, which Node 20 refuses and later ones accept", async () => {
    expect((await verdicts(`${post("Content-Length: 1\t")}x`))[0]).toBe("DPX_REQUEST_INVALID");
  });

  it("but passes what browsers send", async () => {
    expect(await verdicts('GET /a|b^?q={"x"} HTTP/1.1\r\nHost: a\r\nCookie: caf\xe9\r\n\r\n')).toEqual([
      "accepted",
      "accepts",
    ]);
  });
});
