// Reads a project file (duplexity.json): the keys of the flags, the pipes, and
// a section for `serve`. Refuses what it does not know. Writes nothing.

import { readFileSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import { DuplexityError } from "../protocol/errors.ts";
import { type Flag, LIST_FLAGS, SERVE_FLAGS, UP_FLAGS, variableOf } from "./flags.ts";
import { nearest } from "./nearest.ts";
import type { FileValues } from "./settings-values.ts";

/** The file that is looked for in the current folder. */
export const PROJECT_FILE = "duplexity.json";
/** A larger file is no settings file. */
const MAX_FILE_BYTES = 262_144;

/** `serve`'s keys stand in a section of that name; all others at the top. */
export type Section = "client" | "serve";

/**
 * The values in a project file for one side; null if `path` was left out and there is no such file here.
 *
 * @throws {DuplexityError} `DPX_USAGE` if the file is missing, is no JSON or holds an unknown key.
 */
export function readProjectFile(
  section: Section,
  options: { cwd: string; path?: string | undefined },
): FileValues | null {
  const path = isAbsolute(options.path ?? "") ? (options.path ?? "") : join(options.cwd, options.path ?? PROJECT_FILE);
  const shown = relative(options.cwd, path) || path;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (options.path === undefined && isMissing(error)) return null;
    throw new DuplexityError("DPX_USAGE", `Cannot read the config file "${shown}": ${reasonOf(error)}`, {
      cause: error,
    });
  }
  if (text.length > MAX_FILE_BYTES) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot read the config file "${shown}": it has over ${MAX_FILE_BYTES} bytes`,
    );
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot read the config file "${shown}": it is not JSON (${reasonOf(error)})`,
      {
        cause: error,
      },
    );
  }
  const isFound = options.path === undefined;
  return { path: shown, values: checkContent(content, section, { path: shown, isFound }), isFound };
}

interface FileNaming {
  readonly path: string;
  /** It was found in the current folder rather than asked for by name. */
  readonly isFound: boolean;
}

/** Checks keys of both sides, so that a typing error shows with any command; answers those of `section`. */
export function checkContent(content: unknown, section: Section, file: FileNaming): ReadonlyMap<string, unknown> {
  const top = asRecord(content, `"${file.path}"`);
  const clientKeys = keysOf([...UP_FLAGS, ...LIST_FLAGS]).map((key) => (key === "pipe" ? "pipes" : key));
  const values = new Map<string, unknown>();
  for (const [key, value] of Object.entries(top)) {
    if (key === "serve") {
      const inner = checkKeys(
        asRecord(value, `"serve" in ${file.path}`),
        keysOf(SERVE_FLAGS),
        `"serve" in ${file.path}`,
      );
      if (section === "serve") for (const [name, item] of inner) values.set(name, item);
    } else {
      checkKeys({ [key]: value }, [...clientKeys, "serve"], file.path);
      if (section === "client")
        values.set(key === "pipes" ? "pipe" : key, key === "pipes" ? pipesOf(value, file) : value);
    }
  }
  // A folder that somebody else wrote must not pick which of this person's files is sent to a server of its choice.
  for (const key of ["tokenFile", "basicAuth"]) {
    if (!file.isFound || !values.has(key)) continue;
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot take "${key}" from ${file.path}: a file that is merely found here may not choose it`,
      { hint: `Set ${variableOf(key)}, or name the file: --config ${file.path}` },
    );
  }
  return values;
}

/** `{"cat1": "localhost:9090"}` or `["cat1:localhost:9090"]`, as `--pipe` would get it. */
function pipesOf(value: unknown, file: FileNaming): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return Object.entries(asRecord(value, `"pipes" in ${file.path}`)).map(
    ([name, target]) => `${name}:${String(target)}`,
  );
}

function checkKeys(
  record: Readonly<Record<string, unknown>>,
  known: readonly string[],
  place: string,
): [string, unknown][] {
  const entries = Object.entries(record);
  for (const [key] of entries) {
    if (known.includes(key)) continue;
    const meant = nearest(key, known);
    throw new DuplexityError("DPX_USAGE", `Cannot use the key "${key}" in ${place}: there is no such setting`, {
      hint: meant === null ? `Known keys: ${known.join(", ")}` : `Did you mean "${meant}"?`,
    });
  }
  return entries;
}

function keysOf(flags: readonly Flag[]): string[] {
  return [...new Set(flags.filter((flag) => !flag.isPerRun).map((flag) => flag.key))];
}

function asRecord(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new DuplexityError("DPX_USAGE", `Cannot read ${place}: it is not a JSON object, wanted {"key": value, …}`);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function reasonOf(error: unknown): string {
  return isMissing(error) ? "there is no such file" : error instanceof Error ? error.message : String(error);
}
