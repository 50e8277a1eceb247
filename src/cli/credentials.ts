// Secrets come by environment or file, never by argv (that is public in `ps`).
// Reads them; never prints one.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { DuplexityError } from "../protocol/errors.ts";
import type { SettingsValues } from "./settings-values.ts";

/** RFC 6750 §2.1, b64token. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
const MAX_TOKEN_CHARS = 8_192;
/** The right of everybody to read. Not the group's: a container's files are often given to its group. */
const READ_BY_ALL = 0o004;

export interface SecretOptions {
  /** As an error calls it: `token`, `admin token`. */
  readonly what: string;
  /** Key of the flag that names a file: `tokenFile`. */
  readonly fileKey: string;
  /** Variable that holds the secret itself: `DUPLEXITY_TOKEN`. */
  readonly variable: string;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Told of a file that everybody on this machine can read. It is used all the same. */
  readonly warn: (message: string) => void;
}

/**
 * A secret that has the shape of a bearer token: flag (file), then variable, then the file named by variable or settings; undefined if none is given.
 *
 * @throws {DuplexityError} `DPX_USAGE` if the file can't be read or its content is no token. The content is never told.
 */
export function readSecret(values: SettingsValues, options: SecretOptions): string | undefined {
  const found = readSecretText(values, options);
  return found === undefined ? undefined : checkToken(found.text.trim(), found.place, options.what);
}

/**
 * Several of them, each a word of the same file or variable; none if none is given.
 *
 * @throws {DuplexityError} `DPX_USAGE` as `readSecret`, and for more than `most` of them or one of less than `leastChars`.
 */
export function readSecrets(
  values: SettingsValues,
  options: SecretOptions,
  { most, leastChars }: { readonly most: number; readonly leastChars: number },
): readonly string[] {
  const found = readSecretText(values, options);
  if (found === undefined) return [];
  const secrets = found.text.trim().split(/\s+/);
  if (secrets.length > most) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot use the ${options.what}s in ${found.place}: there are more than ${most}`,
    );
  }
  for (const secret of secrets) {
    checkToken(secret, found.place, options.what);
    if (secret.length >= leastChars) continue;
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot use the ${options.what} in ${found.place}: it has ${secret.length} characters, wanted ${leastChars} or more`,
      { hint: "Make one: openssl rand -hex 32" },
    );
  }
  return secrets;
}

function readSecretText(
  values: SettingsValues,
  options: SecretOptions,
): { readonly text: string; readonly place: string } | undefined {
  const place = values.placeOf(options.fileKey);
  const direct = options.env[options.variable];
  const isFlag = place?.startsWith("--") ?? false;
  if (direct && !isFlag) return { text: direct, place: options.variable };
  const path = values.text(options.fileKey);
  if (path === undefined || place === null) return undefined;
  let text: string;
  try {
    text = readStart(isAbsolute(path) ? path : join(options.cwd, path), () => {
      options.warn(`everybody on this machine can read the ${options.what} in "${path}"; chmod o-r takes that right`);
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DuplexityError("DPX_USAGE", `Cannot read the ${options.what} in "${path}" (${place}): ${reason}`, {
      cause: error,
    });
  }
  return { text, place: `"${path}"` };
}

/**
 * A token from a stream, as `login --with-token` reads it: the first line, or all there is.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it is no token. The content is never told.
 */
export async function readTokenFrom(stream: NodeJS.ReadableStream): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += chunk.toString();
    // Not all streams end, and somebody at a keyboard ends a line.
    if (text.trimStart().includes("\n") || text.length > 4 * MAX_TOKEN_CHARS) break;
  }
  return checkToken(text.trimStart().split("\n", 1)[0]?.trim() ?? "", "stdin", "token");
}

/** As much of a file as could be a token and a little more: not all files end, such as /dev/zero. */
function readStart(path: string, isOpenToAll: () => void): string {
  const file = openSync(path, "r");
  try {
    const stat = fstatSync(file);
    // On Windows modes say nothing of who may read.
    if (process.platform !== "win32" && stat.isFile() && (stat.mode & READ_BY_ALL) !== 0) isOpenToAll();
    const bytes = Buffer.alloc(4 * MAX_TOKEN_CHARS);
    let length = 0;
    for (;;) {
      const count = readSync(file, bytes, length, bytes.length - length, null);
      length += count;
      if (count === 0 || length === bytes.length) return bytes.toString("utf8", 0, length);
    }
  } finally {
    closeSync(file);
  }
}

function checkToken(token: string, place: string, what: string): string {
  if (token === "") throw new DuplexityError("DPX_USAGE", `Cannot use the ${what} in ${place}: it is empty`);
  if (token.length <= MAX_TOKEN_CHARS && TOKEN.test(token)) return token;
  throw new DuplexityError(
    "DPX_USAGE",
    `Cannot use the ${what} in ${place}: it has characters that none has, wanted one line of letters, digits and ._~+/-=`,
    { hint: "For a machine: duplexity token create NAME. For --admin-token-file: openssl rand -hex 32" },
  );
}
