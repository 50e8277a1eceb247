// Replies that are longer than one message, in parts: cut here, and put together again where they were asked for. A part
// that is lost comes again with all the others, when whoever asked asks again.

import { fields as checked, DuplexityError } from "../../protocol/index.ts";

/** One of the parts of a reply. */
export interface ReplyPart {
  readonly index: number;
  /** How many there are. */
  readonly of: number;
}

/** Bytes of a part: as base64, and in its envelope, they are a message. */
const PART_BYTES = 184_320;
/** Of one reply: 500 bytes and more for each client of a hub with as many as it takes unless told otherwise. */
const MAX_PARTS = 32;
/** What replies take that are not whole yet, however many requests wait for them: eleven of the longest at once. */
const MAX_KEPT_BYTES = 67_108_864;

/**
 * Cuts a reply.
 *
 * @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE`
 */
export function partsOf(body: unknown): readonly { readonly part: ReplyPart; readonly body: string }[] {
  const bytes = Buffer.from(JSON.stringify(body));
  const of = Math.ceil(bytes.length / PART_BYTES);
  if (of > MAX_PARTS) {
    throw new DuplexityError(
      "DPX_MESSAGE_TOO_LARGE",
      `Cannot reply to the other node: the reply has ${bytes.length} bytes, at most ${MAX_PARTS * PART_BYTES} are allowed`,
    );
  }
  return Array.from({ length: of }, (_, index) => ({
    part: { index, of },
    body: bytes.toString("base64", index * PART_BYTES, (index + 1) * PART_BYTES),
  }));
}

/** @throws {DuplexityError} `DPX_MESSAGE_INVALID` */
export function readPart(value: unknown, path: string): ReplyPart {
  const part = checked.readObject(value, path);
  const of = checked.field(part, "of", checked.integerReader(1, MAX_PARTS));
  return { index: checked.field(part, "index", checked.integerReader(0, of - 1)), of };
}

/** Whose reply, and to which request. */
export interface ReplyOrigin {
  readonly id: string;
  readonly from: string;
}

interface Unfinished {
  readonly id: string;
  readonly parts: readonly (Buffer | undefined)[];
}

/** What has come of the replies to all requests. */
export class ReplyParts {
  /** By request and node; each has room for all of its parts, so that whichever is begun can be finished. */
  readonly #found = new Map<string, Unfinished>();
  #keptBytes = 0;

  /**
   * The whole reply; null: a part is missing yet, or there was no room for it: whoever asked asks again.
   *
   * @throws {DuplexityError} `DPX_MESSAGE_INVALID` if the parts are none.
   */
  add({ id, from }: ReplyOrigin, { index, of }: ReplyPart, body: unknown): { readonly body: unknown } | null {
    const bytes = Buffer.from(typeof body === "string" ? body : "", "base64");
    if (bytes.length > PART_BYTES) return checked.invalid("body", `a part of at most ${PART_BYTES} bytes`);
    const key = `${id} ${from}`;
    const parts = this.#begun(key, id, of)?.with(index, bytes);
    if (parts === undefined) return null;
    const whole = parts.filter((part) => part !== undefined);
    if (whole.length < of) {
      this.#found.set(key, { id, parts });
      return null;
    }
    this.#delete(key);
    try {
      return { body: JSON.parse(Buffer.concat(whole).toString()) };
    } catch {
      return checked.invalid("body", "a reply in parts");
    }
  }

  /** Nobody waits for replies to the request `id` any more. */
  forget(id: string): void {
    for (const [key, unfinished] of this.#found) if (unfinished.id === id) this.#delete(key);
  }

  /** The parts that are there of a reply of `of` parts; undefined: there is no room for it. */
  #begun(key: string, id: string, of: number): Unfinished["parts"] | undefined {
    const found = this.#found.get(key);
    if (found?.parts.length === of) return found.parts;
    // Another reply of that node: it has forgotten the one that it began.
    this.#delete(key);
    if (this.#keptBytes + of * PART_BYTES > MAX_KEPT_BYTES) return undefined;
    this.#keptBytes += of * PART_BYTES;
    const parts = Array.from<Buffer | undefined>({ length: of });
    this.#found.set(key, { id, parts });
    return parts;
  }

  #delete(key: string): void {
    this.#keptBytes -= (this.#found.get(key)?.parts.length ?? 0) * PART_BYTES;
    this.#found.delete(key);
  }
}
