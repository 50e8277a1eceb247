// Hostile requests and answers, each read by us and by node:http. We must not
// accept what node:http refuses, must agree on where each message ends, and
// what we refuse beyond it must be on the list of docs/http-strictness.md.
// DPX_FUZZ_COUNT and DPX_FUZZ_SEED run more, or others.

import { afterAll, describe, expect, it } from "vitest";
import type { RequestHead } from "../../../src/http/index.ts";
import { type Message, readRequests } from "../read-stream.ts";
import { generateRequest } from "./generate.ts";
import { KNOWN_REFUSALS } from "./known-refusals.ts";
import { NodeHttp, type Seen } from "./node-http.ts";
import { Random } from "./random.ts";

const COUNT = Number(process.env["DPX_FUZZ_COUNT"] ?? 100_000);
const SEED = Number(process.env["DPX_FUZZ_SEED"] ?? 20_251_123);
/** Follows every generated request: read as a request of its own only by who found the right end. */
const SENTINEL = "GET /sentinel HTTP/1.1\r\nHost: cat1.localhost\r\n\r\n";

const plain = new NodeHttp(false);
const upgrading = new NodeHttp(true);
afterAll(() => {
  plain.close();
  upgrading.close();
});

/** What two readers of a message must agree on. */
function asText(message: Message): string {
  const { head } = message;
  return JSON.stringify([
    head.method,
    head.form === "absolute" ? "(absolute)" : head.target,
    `1.${head.version}`,
    head.fields(),
    message.isComplete ? message.contentBytes : "(incomplete)",
  ]);
}

function seenAsText(seen: Seen, index: number, message: Message): string {
  const request = seen.requests[index];
  if (request === undefined) return "(not seen)";
  return JSON.stringify([
    request.method,
    message.head.form === "absolute" ? "(absolute)" : request.url,
    request.version,
    request.rawHeaders,
    message.isComplete ? (request.isUpgrade ? 0 : request.bodyBytes) : "(incomplete)",
  ]);
}

/**
 * Requests on which node:http is no measure for what follows. It does not know an option of Connection with a tab
 * behind it. Of upgrades it stops reading after one that nobody listens for (we ignore h2c and
 * pass the request on), and does not read the content of one that somebody listens for, although RFC 9110 §7.8 says
 * that the request comes first, whole.
 */
function isReadOtherwise(head: RequestHead): boolean {
  if (head.fields().some((value, at, fields) => at % 2 === 1 && value.includes("\t") && isConnection(fields[at - 1]))) {
    return true;
  }
  if (head.field("upgrade") === null || !head.connectionTokens.includes("upgrade")) return false;
  const hasContent = head.framing.kind === "chunked" || (head.framing.kind === "length" && head.framing.bytes > 0);
  return hasContent || head.upgrade === null;
}

function isConnection(name: string | undefined): boolean {
  return name?.toLowerCase() === "connection";
}

/** What is wrong with our reading of `text`, or null. */
async function disagreement(text: string): Promise<string | null> {
  const bytes = Buffer.from(text, "latin1");
  const ours = readRequests([bytes]);
  const last = ours.messages.at(-1);
  const isUpgrade = last !== undefined && last.head.upgrade !== null;
  const isLast = last?.isComplete === true && (isUpgrade || !last.head.keepAlive);
  // What follows a last message is not HTTP any more: nobody may read it.
  const theirs = await (isUpgrade ? upgrading : plain).read(isLast ? bytes.subarray(0, ours.consumedBytes) : bytes);
  for (const [index, message] of ours.messages.entries()) {
    const isOdd = isReadOtherwise(message.head);
    const read = isOdd ? { ...message, isComplete: false } : message;
    const expected = seenAsText(theirs, index, read);
    if (asText(read) !== expected) return `we read ${asText(read)}, node:http ${expected} (${theirs.error})`;
    if (isOdd) return null;
  }
  if (ours.fault !== null) {
    const isRefused = theirs.error !== null || theirs.requests.some((request) => !request.isComplete);
    const { message } = ours.fault;
    return isRefused || KNOWN_REFUSALS.some((known) => known.test(message)) ? null : `refused by us alone: ${message}`;
  }
  if (last === undefined || !last.isComplete || ours.pendingBytes > 0) return null;
  if (theirs.error !== null) return `accepted by us, refused by node:http: ${theirs.error}`;
  // It reads Proxy-Connection as if it were Connection, and on HTTP/1.0 keep-alive wins over close: we close more.
  if (last.head.keepAlive && theirs.requests.at(-1)?.keepAlive === false) return "node:http would close, we would not";
  return theirs.requests.length === ours.messages.length ? null : `node:http read ${theirs.requests.length} requests`;
}

describe("parseRequestHead and BodyScanner", () => {
  it(`agree with node:http on ${COUNT} generated requests`, { timeout: 60_000 + COUNT }, async () => {
    const random = new Random(SEED);
    let accepted = 0;
    // One example of each kind.
    const failures = new Map<string, string>();
    for (let index = 0; index < COUNT && failures.size < 10; index++) {
      const text = generateRequest(random) + SENTINEL;
      const wrong = await disagreement(text);
      if (wrong !== null) failures.set(wrong.slice(0, 80), `${wrong}\n    ${JSON.stringify(text)}`);
      if (readRequests([Buffer.from(text, "latin1")]).fault === null) accepted++;
    }
    expect([...failures.values()].join("\n")).toBe("");
    // A generator that only makes rubbish, or only good requests, would prove nothing.
    expect(accepted / COUNT).toBeGreaterThan(0.2);
    expect(accepted / COUNT).toBeLessThan(0.8);
  });
});
