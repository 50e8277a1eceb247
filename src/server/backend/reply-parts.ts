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
/** Nodes whose parts are kept at once. */
const MAX_NODES = 1_024;

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

/** What has come of the replies to one request. */
export class ReplyParts {
  readonly #found = new Map<string, readonly (Buffer | undefined)[]>();

  /**
   * The whole reply of `nodeId`; null: a part is missing yet.
   *
   * @throws {DuplexityError} `DPX_MESSAGE_INVALID` if the parts are none.
   */
  add(nodeId: string, { index, of }: ReplyPart, body: unknown): { readonly body: unknown } | null {
    const bytes = Buffer.from(typeof body === "string" ? body : "", "base64");
    const before = this.#found.get(nodeId);
    if (before === undefined && this.#found.size >= MAX_NODES) return null;
    const known = before?.length === of ? before : Array.from<Buffer | undefined>({ length: of });
    const parts = known.with(index, bytes);
    const whole = parts.filter((part) => part !== undefined);
    if (whole.length < of) {
      this.#found.set(nodeId, parts);
      return null;
    }
    this.#found.delete(nodeId);
    try {
      return { body: JSON.parse(Buffer.concat(whole).toString()) };
    } catch {
      return checked.invalid("body", "a reply in parts");
    }
  }
}
