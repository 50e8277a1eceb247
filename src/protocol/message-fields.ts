// Reads the fields of a parsed control message, one kind of value each, with a
// bound on every string and array. Knows no message; that is message-codec.ts.

import { DuplexityError } from "./errors.ts";

/** Characters of a pipe's name or of a hostname (RFC 1035 §2.3.4). */
export const MAX_NAME_CHARS = 253;
/** Characters of a sentence for people: a reason, a message, a hint, a software version. */
export const MAX_PROSE_CHARS = 1_024;
/** Characters of a URI. */
export const MAX_URI_CHARS = 2_048;
/** Characters of a token: an ID token with many claims fits, a body does not. */
export const MAX_TOKEN_CHARS = 16_384;
/** Characters of a short word made by software: a feature, a ticket, a node id. */
export const MAX_WORD_CHARS = 256;
/** Pipes in one message. A server's own limit is lower. */
export const MAX_MESSAGE_PIPES = 256;
/** Elements of any other array. */
export const MAX_LIST_ITEMS = 64;
/** No duration or size in a message is larger. */
export const MAX_NUMBER = 2 ** 48;

/** An object that came as JSON, and where it sits in its message, for the error's sentence. */
export interface Fields {
  readonly path: string;
  readonly value: object;
}

type Reader<T> = (value: unknown, path: string) => T;

const CLIENT_ID = /^[A-Za-z0-9_-]{8,64}$/;
// Words are compared, logged and sent in headers: visible ASCII only.
const WORD = /^[\x21-\x7e]+$/;
// Sentences reach terminals: no escape sequences from the other side.
// The "u" flag is left out on purpose: lone surrogates are harmless here.
const CONTROL_CHARACTERS = /\p{Cc}|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** Whether `value` is a well-formed clientId: 8 to 64 of `A–Z a–z 0–9 _ -`. */
export function isClientId(value: unknown): value is string {
  return typeof value === "string" && CLIENT_ID.test(value);
}

/** @throws {DuplexityError} `DPX_MESSAGE_INVALID`, always. */
export function invalid(path: string, wanted: string): never {
  throw new DuplexityError("DPX_MESSAGE_INVALID", `Cannot read the message: "${path}" is not ${wanted}`);
}

export function readObject(value: unknown, path: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return invalid(path, "an object");
  return { path, value };
}

/** The field `name` as `read` understands it. A missing field is `undefined` to `read`. */
export function field<T>(fields: Fields, name: string, read: Reader<T>): T {
  const path = fields.path === "" ? name : `${fields.path}.${name}`;
  return read(ownValue(fields, name), path);
}

/** `{ [name]: value }`, or `{}` when the field is not there: for fields that may be left out. */
export function optionalField<K extends string, T>(
  fields: Fields,
  name: K,
  read: Reader<T>,
): { readonly [key in K]?: T } {
  if (ownValue(fields, name) === undefined) return {};
  const found: { [key in K]?: T } = {};
  found[name] = field(fields, name, read);
  return found;
}

export function readClientId(value: unknown, path: string): string {
  return isClientId(value) ? value : invalid(path, "a clientId (8 to 64 of A-Z a-z 0-9 _ -)");
}

export function readBoolean(value: unknown, path: string): boolean {
  return typeof value === "boolean" ? value : invalid(path, "true or false");
}

/** A sentence for people. Control and direction characters become spaces. */
export function readProse(value: unknown, path: string): string {
  return readText(value, path, MAX_PROSE_CHARS, true).replace(CONTROL_CHARACTERS, " ");
}

/** A pipe's name as a person typed it; names.ts says whether it can be one. */
export function readName(value: unknown, path: string): string {
  return readText(value, path, MAX_NAME_CHARS, false).replace(CONTROL_CHARACTERS, " ");
}

export function readWord(value: unknown, path: string): string {
  const text = readText(value, path, MAX_WORD_CHARS, false);
  return WORD.test(text) ? text : invalid(path, "made of visible ASCII characters");
}

export function readToken(value: unknown, path: string): string {
  const text = readText(value, path, MAX_TOKEN_CHARS, false);
  return WORD.test(text) ? text : invalid(path, "made of visible ASCII characters");
}

/** `http(s)://` or, for sockets, `ws(s)://`, as a person or `new WebSocket` can use it; tcp:// for TCP pipes. */
export function uriReader(schemes: readonly string[]): Reader<string> {
  return (value, path) => {
    const text = readText(value, path, MAX_URI_CHARS, false);
    // Not before the scheme is known to be one of ours: URL accepts a lot.
    if (WORD.test(text) && schemes.some((scheme) => text.startsWith(`${scheme}://`)) && URL.canParse(text)) return text;
    return invalid(path, `a URI of ${schemes.join(" or ")}`);
  };
}

export function integerReader(min: number, max: number): Reader<number> {
  return (value, path) => {
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
    return invalid(path, `an integer from ${min} to ${max}`);
  };
}

export function oneOfReader<const T extends string>(choices: readonly T[]): Reader<T> {
  return (value, path) => choices.find((choice) => choice === value) ?? invalid(path, `one of ${choices.join(", ")}`);
}

export function arrayReader<T>(read: Reader<T>, minItems: number, maxItems: number): Reader<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) return invalid(path, "an array");
    if (value.length < minItems || value.length > maxItems) {
      return invalid(path, `an array of ${minItems} to ${maxItems} items`);
    }
    return value.map((item: unknown, index) => read(item, `${path}[${index}]`));
  };
}

/** Of the words in the array those that this version knows: versions can grow. */
export function knownWordsReader<const T extends string>(known: readonly T[]): Reader<readonly T[]> {
  const words = arrayReader(readWord, 0, MAX_LIST_ITEMS);
  return (value, path) => {
    const found = new Set<string>(words(value, path));
    return known.filter((word) => found.has(word));
  };
}

/** An ISO 8601 time in UTC, or null. */
export function readTimeOrNull(value: unknown, path: string): string | null {
  if (value === null) return null;
  const text = readText(value, path, MAX_WORD_CHARS, false);
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  return invalid(path, "an ISO 8601 time in UTC or null");
}

function readText(value: unknown, path: string, maxChars: number, mayBeEmpty: boolean): string {
  if (typeof value !== "string") return invalid(path, "a string");
  if (value.length > maxChars) return invalid(path, `at most ${maxChars} characters long`);
  if (value === "" && !mayBeEmpty) return invalid(path, "a string with something in it");
  return value;
}

/** Own fields only: what a message does not say never comes from a prototype. */
function ownValue(fields: Fields, name: string): unknown {
  const descriptor = Object.getOwnPropertyDescriptor(fields.value, name);
  return descriptor?.value;
}
