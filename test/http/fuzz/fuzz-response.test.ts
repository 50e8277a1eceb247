// Hostile answers to a GET, each read by us and by node:http's client. What we
// accept, it must accept, with the same status, fields and body length.

import { describe, expect, it } from "vitest";
import { BodyScanner, HeadCollector, parseResponseHead } from "../../../src/http/index.ts";
import { GET } from "../read.ts";
import { generateResponse } from "./generate.ts";
import { readResponse, type SeenResponse } from "./node-http.ts";
import { Random } from "./random.ts";

const COUNT = Math.ceil(Number(process.env["DPX_FUZZ_COUNT"] ?? 100_000) / 5);
const SEED = Number(process.env["DPX_FUZZ_SEED"] ?? 20_251_123);

/** The first final answer in `bytes`, at whose end the connection ends; a string says why not. */
function read(bytes: Buffer): (SeenResponse & { readonly end: number }) | string {
  const collector = new HeadCollector("response");
  const scanner = new BodyScanner("DPX_TARGET_ANSWER");
  let at = 0;
  for (;;) {
    at = collector.push(bytes, at);
    if (at < 0) return collector.fault?.message ?? "(incomplete)";
    const head = parseResponseHead(collector.buffer.toString("latin1", collector.start, collector.end), GET);
    if (head.kind === "fault") return head.message;
    collector.clear();
    if (head.isInterim) continue;
    scanner.begin(head.framing);
    const end = scanner.scan(bytes, at);
    if (end < 0) return scanner.fault?.message ?? "";
    if (!scanner.end()) return "(incomplete)";
    return { status: head.status, rawHeaders: head.fields(), bodyBytes: scanner.contentBytes, end };
  }
}

describe("parseResponseHead and BodyScanner", () => {
  it(`accept no answer of ${COUNT} generated ones that node:http refuses`, { timeout: 60_000 + COUNT }, async () => {
    const random = new Random(SEED);
    const failures = new Map<string, string>();
    let accepted = 0;
    for (let index = 0; index < COUNT && failures.size < 10; index++) {
      const text = generateResponse(random);
      const bytes = Buffer.from(text, "latin1");
      const ours = read(bytes);
      if (typeof ours === "string") continue;
      accepted++;
      const { end, ...seen } = ours;
      const theirs = await readResponse(bytes.subarray(0, end));
      if (JSON.stringify(seen) === JSON.stringify(theirs)) continue;
      const wrong = `we read ${JSON.stringify(seen)}, node:http ${JSON.stringify(theirs)}`;
      failures.set(wrong.slice(0, 60), `${wrong}\n    ${JSON.stringify(text)}`);
    }
    expect([...failures.values()].join("\n")).toBe("");
    expect(accepted / COUNT).toBeGreaterThan(0.2);
    expect(accepted / COUNT).toBeLessThan(0.8);
  });
});
