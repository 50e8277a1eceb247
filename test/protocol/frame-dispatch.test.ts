import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../src/protocol/errors.ts";
import {
  decodeOpen,
  decodeReport,
  decodeReset,
  encodeOpen,
  encodeReport,
  encodeReset,
} from "../../src/protocol/frame.ts";
import { dispatchFrames, dispatchPieces, type FrameHandler } from "../../src/protocol/frame-dispatch.ts";
import { frame, frames } from "./support/raw-peer.ts";

/** What a dispatcher calls, with the pieces of one stream's data joined, and how it ends. */
function record(run: (handler: FrameHandler) => void): { calls: unknown[]; error: string | null } {
  const calls: unknown[][] = [];
  const handler: FrameHandler = {
    open: (...all) => calls.push(["open", ...all]),
    accept: (...all) => calls.push(["accept", ...all]),
    data(stream, payload) {
      expect(payload.length).toBeGreaterThan(0);
      const last = calls.at(-1);
      if (last?.[0] === "data" && last[1] === stream) last[2] += payload.toString("hex");
      else calls.push(["data", stream, payload.toString("hex")]);
    },
    window: (...all) => calls.push(["window", ...all]),
    fin: (...all) => calls.push(["fin", ...all]),
    reset: (...all) => calls.push(["reset", ...all]),
    report: (...all) => calls.push(["report", ...all]),
  };
  try {
    run(handler);
    return { calls, error: null };
  } catch (error) {
    if (!(error instanceof DuplexityError)) throw error;
    return { calls, error: `${error.code}: ${error.message}` };
  }
}

/** Cuts `bytes` where `cuts` say, empty pieces and all. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const REPORT = {
  ...{ hostname: "a", method: "GET", path: "/", status: 200, visitor: "" },
  ...{ durationMs: 1, responseBytes: 0, requestBytes: 0 },
};
const stream = fc.integer({ min: 0, max: 5 });
const anyFrame = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.tuple(stream, fc.integer({ min: 1, max: 500 })).map(([id, size]) => frames.data(id, size)),
  },
  { weight: 1, arbitrary: fc.tuple(stream, fc.nat()).map(([id, credit]) => frames.window(id, credit)) },
  { weight: 1, arbitrary: stream.map((id) => frames.fin(id)) },
  { weight: 1, arbitrary: stream.map((id) => frames.reset(id)) },
  { weight: 1, arbitrary: stream.map((id) => frames.open(id)) },
  { weight: 1, arbitrary: stream.map((id) => frames.accept(id)) },
  { weight: 1, arbitrary: fc.constant(frames.report(JSON.stringify(REPORT))) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(255), stream, fc.uint8Array({ maxLength: 20 }))
      .map(([type, id, payload]) => frame(type, id, Buffer.from(payload))),
  },
);

describe("dispatchPieces", () => {
  it("does what dispatchFrames does, wherever a packet is cut into pieces", () => {
    const cuts = fc.array(fc.nat(5_000), { maxLength: 30 });
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), cuts, fc.nat(30), (all, where, cutOff) => {
        const whole = Buffer.concat([Buffer.alloc(20), ...all]);
        const packet = whole.subarray(0, Math.max(20, whole.length - (cutOff > 20 ? cutOff - 20 : 0)));
        // The header lies in the first piece.
        const parts = pieces(packet.subarray(20), where);
        const first = Buffer.concat([packet.subarray(0, 20), parts[0] ?? Buffer.alloc(0)]);
        const joined = record((handler) => dispatchFrames(packet, 20, handler));
        const split = record((handler) => dispatchPieces([first, ...parts.slice(1)], 20, handler));
        expect(split).toEqual(joined);
      }),
      { numRuns: 1_000 },
    );
  });

  it("refuses a frame that is too large before it has come", () => {
    const head = Buffer.from("0304000100000001", "hex");
    const { error } = record((handler) => dispatchPieces([Buffer.alloc(20), head], 20, handler));
    expect(error).toBe("DPX_FRAME_TOO_LARGE: Frame of 262145 bytes came, at most 262144 are allowed");
  });
});

describe("frames", () => {
  const ascii = fc.string({ unit: "binary-ascii", maxLength: 255 });

  it("reads back every OPEN that it writes", () => {
    const request = fc.record({
      hostname: ascii,
      protocol: fc.constantFrom("http" as const, "tcp" as const),
      visitor: ascii,
      isTls: fc.boolean(),
    });
    fc.assert(
      fc.property(request, fc.nat(0xffff_ffff), (wanted, windowBytes) => {
        expect(decodeOpen(encodeOpen(wanted, windowBytes))).toEqual({ request: wanted, windowBytes });
      }),
    );
  });

  it.each(["hostname", "visitor"])("writes no OPEN with a %s of more than 255 bytes", (field) => {
    const request = { hostname: "", protocol: "http", visitor: "", isTls: false, [field]: "x".repeat(256) } as const;
    expect(() => encodeOpen(request, 1)).toThrow(expect.objectContaining({ code: "DPX_FRAME_INVALID" }));
  });

  it("reads back every RESET, known length or not", () => {
    const delivered = fc.option(fc.integer({ min: 0, max: 281_474_976_710_654 }));
    fc.assert(
      fc.property(delivered, (deliveredBytes) => {
        const read = decodeReset(encodeReset("DPX_TARGET_REFUSED", deliveredBytes));
        expect(read).toEqual({ code: "DPX_TARGET_REFUSED", deliveredBytes });
      }),
    );
  });

  it("writes REPORT up to 8,192 bytes", () => {
    const sizeOf = (path: string) => Buffer.byteLength(JSON.stringify({ ...REPORT, path }));
    const fits = "x".repeat(8_192 - sizeOf(""));
    expect(encodeReport({ ...REPORT, path: fits })).toHaveLength(8_192);
    expect(encodeReport({ ...REPORT, path: `${fits}x` })).toBeNull();
    expect(decodeReport(encodeReport({ ...REPORT, path: fits }) ?? Buffer.alloc(0)).path).toBe(fits);
  });

  it("reads nothing but DuplexityError out of any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const decode of [decodeOpen, decodeReset, decodeReport]) {
          try {
            decode(Buffer.from(bytes));
          } catch (error) {
            expect(error).toMatchObject({ name: "DuplexityError", code: "DPX_FRAME_INVALID" });
          }
        }
      }),
    );
  });
});
