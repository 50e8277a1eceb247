// What may be sent twice, and what a visitor is told when it may not.

import { describe, expect, it } from "vitest";
import { parseRequestHead } from "../../../src/http/index.ts";
import { isFinal, isRepeatable, visitorCode } from "../../../src/server/proxy/retry.ts";

function head(method: string, fields = "") {
  const parsed = parseRequestHead(`${method} / HTTP/1.1\r\nHost: a.example.test\r\n${fields}\r\n`);
  if (parsed.kind === "fault") throw new Error(parsed.message);
  return parsed;
}

describe("isRepeatable", () => {
  it.each([
    ["GET", "", true],
    ["HEAD", "", true],
    ["OPTIONS", "", true],
    ["TRACE", "", true],
    ["DELETE", "", true],
    ["PUT", "Content-Length: 4\r\n", false],
    ["DELETE", "Transfer-Encoding: chunked\r\n", false],
    ["POST", "", false],
    ["PATCH", "", false],
  ])("%s %j: %s", (method, fields, may) => {
    expect(isRepeatable(head(method, fields))).toBe(may);
  });
});

describe("visitorCode", () => {
  it.each([
    ["DPX_TARGET_REFUSED", "DPX_TARGET_REFUSED"],
    ["DPX_PIPE_UNKNOWN", "DPX_PIPE_UNKNOWN"],
    ["DPX_OPEN_RATE", "DPX_OPEN_RATE"],
    ["DPX_REPLACED", "DPX_REPLACED"],
    // Never that the visitor was at fault for what broke between server and client.
    ["DPX_STREAM_WINDOW", "DPX_TARGET_BROKE"],
    ["DPX_PROTOCOL", "DPX_TARGET_BROKE"],
    ["DPX_CANCELLED", "DPX_TARGET_BROKE"],
    ["DPX_TARGET_INVALID", "DPX_TARGET_BROKE"],
  ] as const)("tells %s as %s", (code, told) => {
    expect(visitorCode(code)).toBe(told);
  });
});

describe("isFinal", () => {
  it("is what the target itself said, not what broke on the way", () => {
    expect(isFinal("DPX_TARGET_REFUSED")).toBe(true);
    expect(isFinal("DPX_TARGET_CLOSED")).toBe(false);
    expect(isFinal("DPX_LINK_LOST")).toBe(false);
  });
});
