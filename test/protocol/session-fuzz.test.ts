// 100,000 packets, random and changed, to both roles: nothing but a DuplexityError comes of it, nothing hangs, every
// stream is told, and nothing is left over. DUPLEXITY_SEED starts where another run did.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  DuplexityError,
  isErrorCode,
  type OpenRequest,
  type Stream,
  type StreamHandler,
} from "../../src/protocol/index.ts";
import { SESSION_WINDOW_BYTES, SESSION_WINDOW_SLACK_BYTES } from "../../src/protocol/limits.ts";
import { pass, passUntil, pendingTimers, resumeTime, stopTime } from "./support/fake-time.ts";
import { PacketFuzzer } from "./support/packet-fuzzer.ts";
import { RawPeer } from "./support/raw-peer.ts";
import { REQUEST } from "./support/session-pair.ts";

const SEED = Number(process.env["DUPLEXITY_SEED"] ?? Date.now() % 2_147_483_647);
const MOST_BUFFERED_BYTES = SESSION_WINDOW_BYTES + SESSION_WINDOW_SLACK_BYTES + 1_000_000;
const PACKETS = Number(process.env["DUPLEXITY_FUZZ_PACKETS"] ?? 100_000);

beforeEach(stopTime);
afterEach(resumeTime);

/** Does something with each event, and knows what must not come any more. */
class Anything implements StreamHandler {
  endings = 0;
  readonly #stream: Stream;
  readonly #fuzzer: PacketFuzzer;
  isOver = false;

  constructor(stream: Stream, fuzzer: PacketFuzzer) {
    this.#stream = stream;
    this.#fuzzer = fuzzer;
    stream.handler = this;
  }
  onAccept(): void {
    this.#alive();
    this.#act();
  }
  onData(chunk: Buffer): void {
    this.#alive();
    if (chunk.length === 0) throw new Error("Empty data came");
    if (this.#fuzzer.random() < 0.8) this.#stream.consume(chunk.length);
    this.#act();
  }
  onEnd(): void {
    this.#alive();
    this.endings += 1;
    if (this.endings > 1) throw new Error("The end came twice");
    this.#act();
  }
  onDrain(): void {
    this.#alive();
    this.#act();
  }
  onReset(error: DuplexityError): void {
    this.#alive();
    if (!(error instanceof DuplexityError && isErrorCode(error.code))) throw new Error("A reset came without a code");
    this.isOver = true;
  }
  #alive(): void {
    if (this.isOver) throw new Error("An event came after the end");
  }
  #act(): void {
    const choice = this.#fuzzer.random();
    if (choice < 0.1) this.#stream.write("x".repeat(this.#fuzzer.below(2_000)));
    else if (choice < 0.12) this.#stream.write(Buffer.alloc(this.#fuzzer.below(100_000)));
    else if (choice < 0.14) this.#stream.end();
    else if (choice < 0.15) {
      this.#stream.reset("DPX_CANCELLED");
      this.isOver = true;
    }
  }
}

function start(role: "opener" | "acceptor", fuzzer: PacketFuzzer): { peer: RawPeer; handlers: Anything[] } {
  const handlers: Anything[] = [];
  const onOpen = (stream: Stream, request: OpenRequest): void => {
    if (request.visitor.length > 255) throw new Error("A visitor of more than 255 characters came");
    handlers.push(new Anything(stream, fuzzer));
    if (fuzzer.random() < 0.8) stream.accept();
  };
  const peer = RawPeer.live({ role, onOpen, onReport() {}, resumeWindowMs: 1_000 });
  return { peer, handlers };
}

/** The opener opens some streams itself, as a proxy would. */
function openSome({ peer, handlers }: ReturnType<typeof start>, fuzzer: PacketFuzzer): void {
  if (peer.session.role !== "opener" || peer.session.isClosed || peer.session.openStreams > 3) return;
  const placeholder: StreamHandler = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset() {} };
  const stream = peer.session.open(REQUEST, placeholder);
  peer.opened = stream.id;
  peer.inUse.add(stream.id);
  handlers.push(new Anything(stream, fuzzer));
}

describe("Session", () => {
  it("bears 100,000 random and changed packets in both roles", () => {
    const fuzzer = new PacketFuzzer(SEED);
    const codes = new Map<string, number>();
    let sessions = 0;
    try {
      for (let sent = 0; sent < PACKETS; ) {
        const scene = start(sessions % 2 === 0 ? "acceptor" : "opener", fuzzer);
        const { peer, handlers } = scene;
        sessions += 1;
        for (let count = 0; count < 2_000 && sent < PACKETS && peer.closed === null; count += 1) {
          if (count % 8 === 0) {
            openSome(scene, fuzzer);
            pass(1);
          }
          peer.far.handler.onPacket(fuzzer.next(peer));
          sent += 1;
          if (peer.session.bufferedBytes > MOST_BUFFERED_BYTES)
            throw new Error("More is kept than the session's window");
          // What is wrong with a packet itself ends the link, not the session: it goes on over another one.
          if (!peer.carrier.isOpen && peer.closed === null) {
            expect(isErrorCode(peer.far.closeCode)).toBe(true);
            if (fuzzer.random() < 0.2) break;
            peer.reconnect();
            peer.resume(0, peer.received, peer.opened + 1_000 + count);
          }
        }
        if (peer.closed === null && fuzzer.random() < 0.5) {
          peer.link.end();
          peer.far.end();
          pass(1_001);
        }
        if (peer.closed === null) peer.session.close("DPX_CANCELLED", "The round is over");
        const error: DuplexityError | null = peer.closed;
        expect(error).toBeInstanceOf(DuplexityError);
        // A defect of ours, or an expectation above that failed inside a handler.
        if (error?.cause !== undefined) throw error.cause;
        codes.set(error?.code ?? "", (codes.get(error?.code ?? "") ?? 0) + 1);
        expect(peer.session.openStreams + peer.session.bufferedBytes).toBe(0);
        for (const handler of handlers) expect(handler.isOver || handler.endings === 1).toBe(true);
        peer.dispose();
        passUntil(() => pendingTimers() === 0);
      }
    } catch (error) {
      throw new Error(`Seed ${SEED}, session ${sessions}`, { cause: error });
    }
    // It got somewhere: many rules were broken.
    expect([...codes.keys()].length).toBeGreaterThan(8);
    if (process.env["DUPLEXITY_FUZZ_PACKETS"] !== undefined) console.log(sessions, codes);
  }, 120_000);
});
