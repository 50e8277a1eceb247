import { describe, expect, it } from "vitest";
import { findHeadEnd, HeadCollector, HTTP_LIMITS } from "../../src/http/index.ts";
import { get } from "./read.ts";

const HEAD = get("A: b");

describe("findHeadEnd", () => {
  it("finds the end at every place, also with CRs and LFs before it", () => {
    for (const before of ["", "\r", "\n", "\r\n", "\n\r", "\r\r", "\n\n", "\r\r\n", "\n\r\n", "\r\n\n", "\r\n\r"]) {
      for (let length = 0; length < 12; length++) {
        const text = `${"x".repeat(length)}y${before}\r\n\r\nz`;
        expect(findHeadEnd(Buffer.from(`..${text}`), 2), JSON.stringify(text)).toBe(text.indexOf("\r\n\r\n") + 6);
      }
    }
  });

  it("goes on where it stopped", () => {
    const bytes = Buffer.from(HEAD);
    for (let at = 0; at < bytes.length; at++) {
      expect(findHeadEnd(bytes.subarray(0, at), 0)).toBe(-1);
      expect(findHeadEnd(bytes, 0, at)).toBe(bytes.length);
    }
  });

  it("does not take an empty line before a head for its end", () => {
    expect(findHeadEnd(Buffer.from(`\r\n${HEAD}`), 0)).toBe(HEAD.length + 2);
    expect(findHeadEnd(Buffer.from("\r\n\r\n"), 0)).toBe(-1);
  });
});

describe("HeadCollector", () => {
  it.each(["SSH-2.0-OpenSSH_9.2\r\n", "-ERR unknown command\r\n", "220 smtp ESMTP\r\n", "\x15\x03\x01\0\x02", "\n"])(
    "refuses %j as an answer without waiting for more",
    (text) => {
      const collector = new HeadCollector("response");
      expect(collector.push(Buffer.from(text, "latin1"), 0)).toBe(-1);
      expect(collector.fault?.code).toBe("DPX_TARGET_ANSWER");
      expect(collector.fault?.message).toBe("Cannot read the target's answer: it does not begin with HTTP");
    },
  );

  it("delimits a head that came whole without copying it", () => {
    const chunk = Buffer.from(`..${HEAD}body`);
    const collector = new HeadCollector("request");
    expect(collector.push(chunk, 2)).toBe(HEAD.length + 2);
    expect([collector.buffer === chunk, collector.start, collector.end]).toEqual([true, 2, HEAD.length + 2]);
    expect(collector.pendingBytes).toBe(0);
  });

  it("delimits a head that comes in pieces of any size", () => {
    const bytes = Buffer.from(`${HEAD}body`);
    for (let size = 1; size < bytes.length; size++) {
      const collector = new HeadCollector("request");
      let next = -1;
      for (let at = 0; at < bytes.length && next < 0; at += size) {
        next = collector.push(bytes.subarray(at, at + size), 0);
        if (next >= 0) next += at;
      }
      expect(next).toBe(HEAD.length);
      expect(collector.buffer.toString("latin1", collector.start, collector.end)).toBe(HEAD);
      collector.clear();
      expect([collector.pendingBytes, collector.buffer.length]).toEqual([0, 0]);
    }
  });

  it.each([1, 1_000, 65_536])("takes a head of maxHeadBytes and no more, in pieces of %i", (size) => {
    const max = HTTP_LIMITS.maxHeadBytes;
    for (const over of [0, 1]) {
      const bytes = Buffer.from(get(`A: ${"x".repeat(max - get("A: ").length + over)}`));
      const collector = new HeadCollector("request");
      let next = -1;
      for (let at = 0; at < bytes.length && next < 0; at += size)
        next = collector.push(bytes.subarray(at, at + size), 0);
      expect(next >= 0).toBe(over === 0);
      expect(collector.fault).toEqual(
        over === 0
          ? null
          : {
              kind: "fault",
              code: "DPX_HEAD_TOO_LARGE",
              message: "Cannot read the request: its head passes 65536 bytes",
            },
      );
    }
  });

  it("names the answer when that is too large", () => {
    const collector = new HeadCollector("response");
    expect(collector.push(Buffer.alloc(70_000, "x"), 0)).toBe(-1);
    expect(collector.fault?.code).toBe("DPX_TARGET_ANSWER");
  });

  it.each([
    [Buffer.from("16030100", "hex"), "it is TLS, on a port for plain HTTP"],
    [Buffer.from("00"), "its first byte is no upper-case letter"],
    [Buffer.from("get / HTTP/1.1"), "its first byte is no upper-case letter"],
    [Buffer.from(" GET /"), "its first byte is no upper-case letter"],
    [Buffer.from("\nGET /"), "its first byte is no upper-case letter"],
  ])("refuses %s at its first byte", (bytes, why) => {
    const collector = new HeadCollector("request");
    expect(collector.push(bytes, 0)).toBe(-1);
    expect(collector.fault).toMatchObject({
      code: "DPX_REQUEST_INVALID",
      message: `Cannot read the request: ${why}`,
    });
  });

  it("waits for what may become a head", () => {
    const collector = new HeadCollector("request");
    expect(collector.push(Buffer.alloc(0), 0)).toBe(-1);
    expect(collector.push(Buffer.from("\r"), 0)).toBe(-1);
    expect([collector.fault, collector.pendingBytes]).toEqual([null, 1]);
    expect(collector.push(Buffer.from(`\n${HEAD}`), 0)).toBe(HEAD.length + 1);
  });
});
