// Sends one request up a stream as its bytes come, and keeps what was sent as long as it is little and may have to be
// sent again. It never reads from a socket and never decides whether to send again.

import {
  BodyScanner,
  buildRequestHead,
  editFields,
  type FieldEdit,
  type Forwarding,
  type RequestHead,
} from "../../http/index.ts";
import { MAX_COPIED_BYTES } from "../../protocol/index.ts";
import { MAX_REPLAY_BYTES } from "./options.ts";
import type { OriginStream } from "./origin-stream.ts";

export class RequestSender {
  /** Where the body ends, and why it is malformed if it is. */
  readonly body = new BodyScanner("DPX_REQUEST_INVALID");
  /** Whether the last write asked to wait for the stream's drain. */
  mustWait = false;
  #origin: OriginStream | null = null;
  #outgoingHead = "";
  readonly #kept: Buffer[] = [];
  #keptBytes = 0;
  #keepsAll = true;
  /** Its head says that its body fits into what is kept. */
  #isShort = false;

  /** Whether all that came of the request so far is at hand. */
  get canReplay(): boolean {
    return this.#keepsAll;
  }

  /** Whether all of it will be at hand until it is answered, however far it gets. */
  get staysReplayable(): boolean {
    if (!this.#keepsAll) return false;
    // A whole body that waited behind another request may be here in one piece that is larger than what is kept.
    return this.#isShort || (this.body.isComplete && this.#keptBytes <= MAX_REPLAY_BYTES);
  }

  /** Bytes in memory for this request. */
  get keptBytes(): number {
    return this.#outgoingHead.length + this.#keptBytes;
  }

  /** Makes ready for the next request. */
  begin(head: RequestHead, forwarding: Forwarding): void {
    this.#origin = null;
    this.mustWait = false;
    this.#keepsAll = true;
    // The stream of the request before may be somebody else's by now.
    this.#origin = null;
    const { framing } = head;
    this.#isShort = framing.kind === "length" && framing.bytes <= MAX_REPLAY_BYTES;
    this.body.begin(framing);
    this.#outgoingHead = buildRequestHead(head, forwarding);
  }

  /** Changes the head that goes out; the request is not sent yet, or will be sent again. */
  edit(edit: FieldEdit): void {
    this.#outgoingHead = editFields(this.#outgoingHead, edit);
  }

  /**
   * Takes the body's part of `chunk` from `from` on and sends it if there is a stream. Returns where the body's part
   * ends, or -1 when it is malformed (`body.fault`); `mustWait` after it says whether the stream wants a pause.
   */
  take(chunk: Buffer, from: number): number {
    const end = this.body.scan(chunk, from);
    if (end <= from) return end;
    const part = from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end);
    if (this.#keepsAll) this.#keep(part);
    if (this.#origin !== null) this.mustWait = !this.#origin.stream.write(part);
    return end;
  }

  /** Sends the head and all of the body that came so far; what `take` gets from now on follows. */
  send(origin: OriginStream): void {
    this.#origin = origin;
    const { stream } = origin;
    origin.requestStart = stream.writtenBytes;
    if (this.#keptBytes === 0) {
      this.mustWait = !stream.write(this.#outgoingHead);
    } else if (this.keptBytes <= MAX_COPIED_BYTES) {
      // One write is one frame, and one write to the target.
      let text = this.#outgoingHead;
      for (const part of this.#kept) text += part.toString("latin1");
      this.mustWait = !stream.write(text);
    } else {
      this.mustWait = !stream.write(this.#outgoingHead);
      for (const part of this.#kept) this.mustWait = !stream.write(part);
    }
    if (this.#keptBytes > MAX_REPLAY_BYTES) this.forget();
  }

  /** The stream is gone; what comes is kept until the next `send`. */
  detach(): void {
    this.#origin = null;
  }

  /** The request is over. */
  end(): void {
    this.#origin = null;
    this.forget();
  }

  /** Nothing will be sent again. */
  forget(): void {
    this.#keepsAll = false;
    if (this.#keptBytes === 0) return;
    this.#kept.length = 0;
    this.#keptBytes = 0;
  }

  #keep(part: Buffer): void {
    this.#kept.push(part);
    this.#keptBytes += part.length;
    // Before it is sent for the first time all has to be kept; the visitor's socket is paused then.
    if (this.#keptBytes > MAX_REPLAY_BYTES && this.#origin !== null) this.forget();
  }
}
