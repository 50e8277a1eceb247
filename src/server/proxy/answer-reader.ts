// Reads one answer off a stream and passes it on to the visitor as it comes. Strict about where it ends, since that
// decides when both connections may serve the next exchange. It never waits and never ends a connection.

import {
  type BodyPassing,
  BodyScanner,
  bodyPassing,
  buildResponseHead,
  dechunk,
  HeadCollector,
  HttpFault,
  type RequestHead,
  type ResponseHead,
  type ResponseHeadCache,
} from "../../http/index.ts";
import { MAX_INTERIM_ANSWERS } from "./options.ts";

/** Where an answer goes. */
export interface AnswerSink {
  /** Whether the connection may serve another request after this answer, as far as the visitor's side knows. */
  mayKeepAlive(): boolean;
  writeText(text: string): void;
  writeBytes(chunk: Buffer): void;
  /** Head and first bytes of the body, `chunk[from, end)`, in one go. */
  writeTextAndBytes(text: string, chunk: Buffer, from: number, end: number): void;
}

/** `switched`: a 101 was passed on. `broken`: `fault` says why; nothing of the last chunk was passed on. */
export type AnswerProgress = "more" | "complete" | "switched" | "broken";

const FORWARDINGS = [
  { keepAlive: false, version: 0 },
  { keepAlive: true, version: 0 },
  { keepAlive: false, version: 1 },
  { keepAlive: true, version: 1 },
] as const;

const NO_BYTES = Buffer.alloc(0);

export class AnswerReader {
  /** Whether a byte of the answer has come: from then on the request may not be sent again. */
  isStarted = false;
  /** The final answer's head, once it was passed on. */
  head: ResponseHead | null = null;
  /** Whether the visitor was told that its connection goes on. */
  keepsVisitor = false;
  /** Whether bytes came after the answer's end: the stream is not fit for another request. */
  hasLeftovers = false;
  /** After `switched`: what came behind the 101. */
  afterSwitch: Buffer = NO_BYTES;
  fault: HttpFault | null = null;
  readonly #cache: ResponseHeadCache;
  #collector = new HeadCollector("response");
  readonly #scanner = new BodyScanner("DPX_TARGET_ANSWER");
  readonly #pieces: Buffer[] = [];
  #passing: BodyPassing = "none";
  #interims = 0;
  #lastHead: ResponseHead | null = null;
  #lastForwarding: (typeof FORWARDINGS)[number] | null = null;
  #lastText = "";

  constructor(cache: ResponseHeadCache) {
    this.#cache = cache;
  }

  /** Bytes of content that went to the visitor. */
  get contentBytes(): number {
    return this.head === null ? 0 : this.#scanner.contentBytes;
  }

  /** Whether only the end of the visitor's connection tells it where the body ends. */
  get isUntilClose(): boolean {
    return this.#passing === "until-close" || this.#passing === "dechunk";
  }

  /** Makes ready for the next answer. */
  begin(): void {
    this.isStarted = false;
    this.head = null;
    this.keepsVisitor = false;
    this.hasLeftovers = false;
    this.afterSwitch = NO_BYTES;
    this.fault = null;
    this.#interims = 0;
    this.#passing = "none";
    if (this.#collector.fault === null) this.#collector.clear();
    else this.#collector = new HeadCollector("response");
  }

  /** Takes what came from the stream and passes it on to `sink`. */
  read(chunk: Buffer, request: RequestHead, sink: AnswerSink): AnswerProgress {
    this.isStarted = true;
    if (this.head !== null) return this.#readBody(chunk, 0, "", sink);
    let from = 0;
    while (from < chunk.length) {
      const next = this.#collector.push(chunk, from);
      if (next < 0) return this.#collector.fault === null ? "more" : this.#break(this.#collector.fault);
      const head = this.#cache.read(this.#collector.buffer, this.#collector.start, this.#collector.end, request);
      this.#collector.clear();
      if (head.kind === "fault") return this.#break(head);
      if (head.status === 101) {
        this.head = head;
        sink.writeText(this.#textOf(head, true, request.version));
        this.afterSwitch = chunk.subarray(next);
        return "switched";
      }
      if (!head.isInterim) {
        const progress = this.#readBody(chunk, next, this.#beginBody(head, request, sink), sink);
        // While nothing was passed on, the visitor can still be told with a 502.
        if (progress !== "broken") this.head = head;
        return progress;
      }
      if (++this.#interims > MAX_INTERIM_ANSWERS) {
        return this.#break(new HttpFault("DPX_TARGET_ANSWER", "The target sends interim answers without end."));
      }
      // RFC 9110 §15.2: HTTP/1.0 knows no interim answers.
      if (request.version === 1) sink.writeText(this.#textOf(head, true, 1));
      from = next;
    }
    return "more";
  }

  /** The stream ended: whether the answer is complete with that. */
  end(): boolean {
    return this.head !== null && this.#scanner.end();
  }

  /** The head for the visitor, to be written together with the first bytes of the body. */
  #beginBody(head: ResponseHead, request: RequestHead, sink: AnswerSink): string {
    this.#passing = bodyPassing(head, request.version);
    this.#scanner.begin(head.framing);
    this.keepsVisitor = !this.isUntilClose && request.keepAlive && sink.mayKeepAlive();
    return this.#textOf(head, this.keepsVisitor, request.version);
  }

  #readBody(chunk: Buffer, from: number, text: string, sink: AnswerSink): AnswerProgress {
    const scanner = this.#scanner;
    if (scanner.isComplete) {
      if (text !== "") sink.writeText(text);
      this.hasLeftovers = from < chunk.length;
      return "complete";
    }
    if (this.#passing === "dechunk") return this.#readChunks(chunk, from, text, sink);
    const end = scanner.scan(chunk, from);
    if (end < 0) return this.#break(scanner.fault);
    if (text !== "") sink.writeTextAndBytes(text, chunk, from, end);
    else sink.writeBytes(end === chunk.length ? chunk : chunk.subarray(0, end));
    if (!scanner.isComplete) return "more";
    this.hasLeftovers = end < chunk.length;
    return "complete";
  }

  /** RFC 9112 §7.1: an HTTP/1.0 visitor gets the content without its framing. */
  #readChunks(chunk: Buffer, from: number, text: string, sink: AnswerSink): AnswerProgress {
    const pieces = this.#pieces;
    pieces.length = 0;
    const end = dechunk(this.#scanner, chunk, from, pieces);
    if (end < 0) return this.#break(this.#scanner.fault);
    if (text !== "") sink.writeText(text);
    for (const piece of pieces) sink.writeBytes(piece);
    pieces.length = 0;
    if (!this.#scanner.isComplete) return "more";
    this.hasLeftovers = end < chunk.length;
    return "complete";
  }

  #break(fault: HttpFault | null): AnswerProgress {
    this.fault = fault ?? new HttpFault("DPX_TARGET_ANSWER", "The target's answer is malformed.");
    return "broken";
  }

  /** The outgoing head; targets repeat theirs, and a cached head is the same object. */
  #textOf(head: ResponseHead, keepAlive: boolean, version: 0 | 1): string {
    const forwarding = FORWARDINGS[version === 1 ? (keepAlive ? 3 : 2) : keepAlive ? 1 : 0];
    if (head === this.#lastHead && forwarding === this.#lastForwarding) return this.#lastText;
    const text = buildResponseHead(head, forwarding);
    this.#lastHead = head;
    this.#lastForwarding = forwarding;
    this.#lastText = text;
    return text;
  }
}
