import { describe, expect, it } from "vitest";
import { BodyScanner, dechunk, type Framing, HTTP_LIMITS } from "../../src/http/index.ts";

const CHUNKED: Framing = { kind: "chunked" };

function begun(framing: Framing): BodyScanner {
  const scanner = new BodyScanner("DPX_REQUEST_INVALID");
  scanner.begin(framing);
  return scanner;
}

/** What is wrong with these bytes as a chunked body, in one piece and byte by byte. */
function fault(text: string): string {
  const bytes = Buffer.from(text, "latin1");
  const whole = begun(CHUNKED);
  const single = begun(CHUNKED);
  whole.scan(bytes, 0);
  for (let at = 0; at < bytes.length && single.fault === null; at++) single.scan(bytes.subarray(at, at + 1), 0);
  expect(single.fault?.message).toBe(whole.fault?.message);
  return whole.fault === null ? "accepted" : `${whole.fault.code}: ${whole.fault.message}`;
}

describe("BodyScanner", () => {
  it("is complete at once for no body and for length 0", () => {
    expect(begun({ kind: "none" }).isComplete).toBe(true);
    expect(begun({ kind: "length", bytes: 0 }).isComplete).toBe(true);
    expect(begun({ kind: "none" }).scan(Buffer.from("GET"), 0)).toBe(0);
  });

  it("finds the end of a body of known length in the middle of a chunk", () => {
    const scanner = begun({ kind: "length", bytes: 5 });
    expect(scanner.scan(Buffer.from("..abc"), 2)).toBe(5);
    expect([scanner.isComplete, scanner.contentBytes]).toEqual([false, 3]);
    expect(scanner.scan(Buffer.from("deGET / "), 0)).toBe(2);
    expect([scanner.isComplete, scanner.contentBytes]).toEqual([true, 5]);
    expect(scanner.end()).toBe(true);
  });

  it("tells a truncated body from a complete one", () => {
    const length = begun({ kind: "length", bytes: 5 });
    length.scan(Buffer.from("abcd"), 0);
    expect(length.end()).toBe(false);
    const chunked = begun(CHUNKED);
    chunked.scan(Buffer.from("1\r\na\r\n0\r\n"), 0);
    expect(chunked.end()).toBe(false);
    const close = begun({ kind: "close" });
    close.scan(Buffer.from("abcd"), 0);
    expect([close.isComplete, close.end(), close.contentBytes]).toEqual([false, true, 4]);
  });

  it.each([
    ["0\r\n\r\n", 0],
    ["5\r\nhello\r\n0\r\n\r\n", 5],
    ["00000005\r\nhello\r\n000\r\n\r\n", 5],
    ["a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", 20],
    ['1;a\r\nx\r\n0;b=c;d="e\\" ;\t\xe9"\r\n\r\n', 1],
    ["0\r\nX-Sum: 1\r\nX-Other:\r\n\r\n", 0],
  ])("reads %j", (text, contentBytes) => {
    const bytes = Buffer.from(`${text}GET / HTTP/1.1\r\n`, "latin1");
    const scanner = begun(CHUNKED);
    expect(scanner.scan(bytes, 0)).toBe(text.length);
    expect([scanner.isComplete, scanner.contentBytes]).toEqual([true, contentBytes]);
  });

  const NO_DIGIT = "a chunk's size does not begin with a hex digit";
  const NO_CRLF = "a chunk's size is followed by something that is no digit, extension or CRLF";
  const NO_END = "a chunk's content is not followed by CRLF";
  it.each([
    ["\r\n", NO_DIGIT],
    [" 5\r\nhello\r\n", NO_DIGIT],
    ["+5\r\nhello\r\n", NO_DIGIT],
    ["-5\r\n", NO_DIGIT],
    ["0x5\r\nhello\r\n", NO_CRLF],
    ["5 \r\nhello\r\n", NO_CRLF],
    ["5\t\r\nhello\r\n", NO_CRLF],
    ["5\nhello\n", NO_CRLF],
    ["5_0\r\n", NO_CRLF],
    ["5g\r\nhello\r\n", NO_CRLF],
    ["5,5\r\nhello\r\n", NO_CRLF],
    ["5 ;a\r\nhello\r\n", NO_CRLF],
    ["5\r\rhello\r\n", "a chunk's line holds a CR without LF"],
    ["5\rhello\r\n", "a chunk's line holds a CR without LF"],
    ["20000000000000\r\n", "a chunk's size passes 2^53-1"],
    ["10000000000000005\r\n", "a chunk's size passes 2^53-1"],
    ["fffffffffffffffff\r\n", "a chunk's size passes 2^53-1"],
    ["4\r\nhello\r\n0\r\n\r\n", NO_END],
    ["6\r\nhello\r\n0\r\n\r\n", NO_END],
    ["5\r\nhello\n0\r\n\r\n", NO_END],
    ["5\r\nhello\r\r0\r\n", NO_END],
    ["5\r\nhello!\n0\r\n\r\n", NO_END],
    ["5\r\nhello\r!0\r\n\r\n", NO_END],
    ["5\r\nhello0\r\n\r\n", NO_END],
    ["5;\r\nhello\r\n", "a chunk extension is malformed"],
    ["5; a\r\nhello\r\n", "a chunk extension is malformed"],
    ["5;a=\r\nhello\r\n", "a chunk extension is malformed"],
    ["5;a b\r\nhello\r\n", "a chunk extension is malformed"],
    ["5;a\nhello\r\n", "a chunk extension is malformed"],
    ['5;a="b\r\n', "a chunk extension is malformed"],
    ['5;a="b"c\r\n', "a chunk extension is malformed"],
    ["5;a\0\r\n", "a chunk extension is malformed"],
    ["0\r\nX\r\n\r\n", "a trailer line has no valid name and colon"],
    ["0\r\n: x\r\n\r\n", "a trailer line has no valid name and colon"],
    ["0\r\nX : x\r\n\r\n", "a trailer line has no valid name and colon"],
    ["0\r\n x: x\r\n\r\n", "a trailer line has no valid name and colon"],
    ["0\r\nX: x\n\r\n", 'the value of the trailer "X" holds a control character or does not end in CRLF'],
    ["0\r\nX: x\0\r\n\r\n", 'the value of the trailer "X" holds a control character or does not end in CRLF'],
    ["0\r\nX: x\ry\r\n\r\n", 'the value of the trailer "X" holds a control character or does not end in CRLF'],
    ["0\r\n\n", "a trailer line has no valid name and colon"],
    ["0\r\n\rX\n", "a trailer line has no valid name and colon"],
    ["0\r\nGET / HTTP/1.1\r\n\r\n", "a trailer line has no valid name and colon"],
  ])("refuses %j", (text, why) => {
    expect(fault(text)).toBe(`DPX_REQUEST_INVALID: Cannot read the body of the request: ${why}`);
  });

  it.each([
    "Content-Length",
    "transfer-encoding",
    "Host",
    "Connection",
    "Keep-Alive",
    "Proxy-Authorization",
    "Trailer",
    "Content_Length",
    "X-Forwarded-For",
    "Authorization",
    "Set-Cookie",
  ])("refuses %s in a trailer (RFC 9110 §6.5.1)", (name) => {
    expect(fault(`0\r\n${name}: 1\r\n\r\n`)).toBe(
      `DPX_REQUEST_INVALID: Cannot read the body of the request: the field "${name}" must not be in a trailer`,
    );
  });

  it("takes the largest size there is and no larger", () => {
    const scanner = begun(CHUNKED);
    expect(scanner.scan(Buffer.from("1fffffffffffff\r\nabc"), 0)).toBe(19);
    expect([scanner.fault, scanner.contentBytes]).toEqual([null, 3]);
  });

  it("bounds a chunk's line, all extensions and the trailers", () => {
    const { maxChunkLineBytes, maxExtensionBytes, maxTrailerBytes } = HTTP_LIMITS;
    expect(fault(`5;${"a".repeat(maxChunkLineBytes)}`)).toContain("a chunk's line is too long");
    expect(fault("0".repeat(maxChunkLineBytes + 1))).toContain("a chunk's line is too long");
    const chunk = `1;${"a".repeat(1_000)}\r\nx\r\n`;
    expect(fault(chunk.repeat(Math.ceil(maxExtensionBytes / 1_000)))).toContain("its chunk extensions are too long");
    expect(fault(`0\r\nX: ${"y".repeat(maxTrailerBytes)}`)).toContain("its trailer section is too long");
    expect(fault(`0\r\n${"X: y\r\n".repeat(maxTrailerBytes / 6 + 1)}`)).toContain("its trailer section is too long");
  });

  it("stays failed, names the answer when it is one, and can begin anew", () => {
    const scanner = new BodyScanner("DPX_TARGET_ANSWER");
    scanner.begin(CHUNKED);
    expect(scanner.scan(Buffer.from("x"), 0)).toBe(-1);
    expect(scanner.scan(Buffer.from("0\r\n\r\n"), 0)).toBe(-1);
    expect(scanner.end()).toBe(false);
    expect(scanner.fault).toMatchObject({
      code: "DPX_TARGET_ANSWER",
      message: "Cannot read the body of the target's answer: a chunk's size does not begin with a hex digit",
    });
    scanner.begin(CHUNKED);
    expect(scanner.scan(Buffer.from("0\r\n\r\n"), 0)).toBe(5);
    expect([scanner.fault, scanner.isComplete]).toEqual([null, true]);
  });

  it("takes no notice of what looks like framing inside a chunk", () => {
    const scanner = begun(CHUNKED);
    const content = Buffer.alloc(262_144, "\r\n0\r\n\r\n");
    scanner.scan(Buffer.from("40000\r\n"), 0);
    expect(scanner.scan(content, 0)).toBe(content.length);
    expect(scanner.isComplete).toBe(false);
    expect(scanner.scan(Buffer.from("\r\n0\r\n\r\n"), 0)).toBe(7);
    expect([scanner.isComplete, scanner.contentBytes]).toEqual([true, 262_144]);
  });
});

describe("dechunk", () => {
  it("takes the framing off by reference, whatever the pieces", () => {
    const text = "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\nGET";
    const bytes = Buffer.from(text);
    for (let size = 1; size <= bytes.length; size++) {
      const scanner = begun(CHUNKED);
      const out: Buffer[] = [];
      let ended = -1;
      for (let at = 0; at < bytes.length && ended < 0; at += size) {
        const end = dechunk(scanner, bytes.subarray(at, at + size), 0, out);
        if (scanner.isComplete) ended = at + end;
      }
      expect(Buffer.concat(out).toString()).toBe("hello world");
      expect(ended).toBe(bytes.length - 3);
      expect(out.every((piece) => piece.buffer === bytes.buffer)).toBe(true);
    }
  });
});
