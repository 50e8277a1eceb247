import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BodyScanner, type Framing } from "../../src/http/index.ts";
import { generateRequest } from "./fuzz/generate.ts";
import { Random } from "./fuzz/random.ts";
import { readRequests } from "./read-stream.ts";

/** `bytes` cut at `cuts` (each taken modulo its length). */
function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

function summary(pieces: readonly Buffer[]) {
  const { messages, fault, consumedBytes, pendingBytes } = readRequests(pieces);
  return {
    // A body that breaks in the middle was read further when its good part came apart from its bad part.
    messages: messages.map(({ head, contentBytes, isComplete }) => [
      head.forwarded,
      head.framing,
      isComplete || fault === null ? contentBytes : "broken",
    ]),
    fault: fault === null ? null : [fault.code, fault.message],
    consumedBytes,
    pendingBytes: fault === null ? pendingBytes : 0,
  };
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });

describe("HeadCollector and BodyScanner", () => {
  it("read the same however a stream is cut into pieces", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 4 }), cuts, (seed, count, where) => {
        const random = new Random(seed);
        let text = "";
        for (let made = 0; made < count; made++) text += generateRequest(random);
        const bytes = Buffer.from(text, "latin1");
        expect(summary(split(bytes, where))).toEqual(summary([bytes]));
      }),
      { numRuns: 3_000 },
    );
  });

  it("read the same byte by byte", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const bytes = Buffer.from(generateRequest(new Random(seed)), "latin1");
        const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
        expect(summary(single)).toEqual(summary([bytes]));
      }),
      { numRuns: 500 },
    );
  });
});

describe("BodyScanner", () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 });

  it("finds the end and the content of any sound chunked body, in any pieces, and no byte of what follows", () => {
    fc.assert(
      fc.property(chunks, cuts, fc.uint8Array({ maxLength: 20 }), (contents, where, after) => {
        const parts = contents.flatMap((content) => [
          Buffer.from(`${content.length.toString(16)}\r\n`),
          Buffer.from(content),
          Buffer.from("\r\n"),
        ]);
        const body = Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
        const scanner = new BodyScanner("DPX_REQUEST_INVALID");
        scanner.begin({ kind: "chunked" } satisfies Framing);
        const out: Buffer[] = [];
        let read = 0;
        for (const piece of split(Buffer.concat([body, after]), where)) {
          if (scanner.isComplete) break;
          read += scanner.scan(piece, 0, out);
        }
        expect(scanner.fault).toBeNull();
        expect([scanner.isComplete, read]).toEqual([true, body.length]);
        expect(Buffer.concat(out)).toEqual(Buffer.concat(contents));
      }),
      { numRuns: 1_000 },
    );
  });
});
