// Reads what a request of the API asks for: fields that are known and no others, each of one kind and bounded.

import { DuplexityError, fields } from "../../protocol/index.ts";
import { readFields } from "../json-body.ts";

/** What an admin writes for others to read; with the rest of its sentence it fits into any message. */
const MAX_REASON_CHARS = 256;
/** Names of users, tokens, clients, pipes. */
const MAX_WHO_CHARS = 253;
/** A hundred years: longer is for ever. */
export const MAX_DURATION_MS = 3_155_760_000_000;
const MAX_PATTERNS = 64;

/**
 * What `read` makes of the fields of `asked`.
 *
 * @throws {DuplexityError} `DPX_REQUEST_INVALID` if one is missing, malformed or not among `names`.
 */
export function readAsked<T>(asked: unknown, names: readonly string[], read: (body: fields.Fields) => T): T {
  return readFields(asked, (body) => {
    for (const name of Object.keys(body.value)) {
      if (names.includes(name)) continue;
      const known = names.length === 0 ? "there are none" : `there are ${names.join(", ")}`;
      const shown = name.slice(0, 64).replace(/[^\x20-\x7e]/g, "?");
      throw new DuplexityError("DPX_REQUEST_INVALID", `Cannot serve the request: it has no field "${shown}"`, {
        hint: `Of fields ${known}.`,
      });
    }
    return read(body);
  });
}

/** `undefined` where the field was left out. */
export function optional<T>(
  body: fields.Fields,
  name: string,
  read: (value: unknown, path: string) => T,
): T | undefined {
  return fields.field(body, name, (value, path) => (value === undefined ? undefined : read(value, path)));
}

/** A name of somebody or something: characters that a terminal shows, none that it obeys. */
export function readWho(value: unknown, path: string): string {
  const text = fields.readName(value, path).trim();
  if (text === "" || text.length > MAX_WHO_CHARS) return fields.invalid(path, "a name");
  return text;
}

export function readReason(value: unknown, path: string): string {
  const text = fields.readProse(value, path).trim();
  return text.length <= MAX_REASON_CHARS ? text : fields.invalid(path, `at most ${MAX_REASON_CHARS} characters long`);
}

export const readDurationMs = fields.integerReader(1, MAX_DURATION_MS);

/** Null and none: any name. What a pattern may be is for whoever keeps it to say. */
export function readPatterns(value: unknown, path: string): readonly string[] | null {
  if (value === null) return null;
  return fields.arrayReader(fields.readName, 1, MAX_PATTERNS)(value, path);
}
