// The sign-ins of this machine in one private file: read whole, written whole. Knows no server and no lock.

import { readFileSync } from "node:fs";
import { DuplexityError } from "../../protocol/errors.ts";
import { codeOf, replaceFile, tighten, unwritable } from "../private-files.ts";
import { parseServerUrl } from "../units.ts";

export interface SignIn {
  /** An origin: `https://tunnel.example.com`. */
  readonly server: string;
  /** As the server calls the person. */
  readonly user: string;
  /** What is shown to the server: an ID token, or what `login --with-token` was given. */
  readonly token: string;
  /** Unix ms, by this machine's clock. */
  readonly obtainedAt: number;
  /** Unix ms, by this machine's clock; null: never. */
  readonly expiresAt: number | null;
  /** How to get the next token; null: there is no next one. */
  readonly renewal: { readonly issuer: string; readonly refreshToken: string } | null;
}

export interface SignInList {
  /** The server that commands use when none is named. */
  readonly current: string | null;
  readonly signIns: readonly SignIn[];
}

const NONE: SignInList = { current: null, signIns: [] };
/** A larger file is none of ours. */
const MAX_FILE_BYTES = 4_194_304;
/** More servers than anybody signs in to. */
export const MAX_SIGN_INS = 200;

/**
 * @param warn Told when the file was open to others, and is closed now.
 * @throws {DuplexityError} `DPX_USAGE` if the file is there and cannot be read: it is never overwritten then.
 */
export function readSignIns(path: string, warn: (message: string) => void): SignInList {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return NONE;
    throw unreadable(path, error instanceof Error ? error.message : String(error));
  }
  tighten(path, warn);
  if (text.length > MAX_FILE_BYTES) throw unreadable(path, `it has over ${MAX_FILE_BYTES} bytes`);
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw unreadable(path, "it is not JSON");
  }
  const { current, signIns } = fieldsOf(content);
  if (!Array.isArray(signIns)) throw unreadable(path, "it has no list of sign-ins");
  const read = signIns.map((each) => signInOf(each) ?? fail(path));
  return { current: read.some(({ server }) => server === current) ? String(current) : null, signIns: read };
}

/** @throws {DuplexityError} `DPX_USAGE` if the file cannot be written, or would hold too many. */
export function writeSignIns(path: string, list: SignInList): void {
  if (list.signIns.length > MAX_SIGN_INS) {
    throw new DuplexityError("DPX_USAGE", `Cannot keep another sign-in: there are ${MAX_SIGN_INS} already`, {
      hint: "duplexity logout SERVER",
    });
  }
  try {
    replaceFile(path, `${JSON.stringify({ v: 1, ...list }, null, 2)}\n`);
  } catch (error) {
    throw unwritable(path, error, "DUPLEXITY_CONFIG_DIR");
  }
}

function signInOf(value: unknown): SignIn | null {
  const { server, user, token, obtainedAt, expiresAt, renewal } = fieldsOf(value);
  if (typeof server !== "string" || parseServerUrl(server) !== server) return null;
  if (typeof user !== "string" || typeof token !== "string" || typeof obtainedAt !== "number") return null;
  if (expiresAt !== null && typeof expiresAt !== "number") return null;
  const common = { server, user, token, obtainedAt, expiresAt };
  if (renewal === null) return { ...common, renewal: null };
  const { issuer, refreshToken } = fieldsOf(renewal);
  if (typeof issuer !== "string" || !URL.canParse(issuer) || typeof refreshToken !== "string") return null;
  return { ...common, renewal: { issuer, refreshToken } };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function fail(path: string): never {
  throw unreadable(path, "it holds something that is no sign-in");
}

function unreadable(path: string, reason: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot read the sign-ins in "${path}": ${reason}`, {
    hint: "Delete the file and sign in again: duplexity login SERVER",
  });
}
