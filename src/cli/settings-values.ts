// One place that knows which of flag, environment, project file and user
// settings decides a value, and that reads it by its kind. Opens no file.

import { DuplexityError } from "../protocol/errors.ts";
import { type Flag, longName, variableOf } from "./flags.ts";
import { parseCount, parseDuration, parseSize } from "./units.ts";

/** A value as it was found, with the words that name the place: `--drain`, `DUPLEXITY_DRAIN`, `"drain" in duplexity.json`. */
interface Found {
  readonly value: unknown;
  readonly place: string;
}

/** Values by flag key, as commander or a JSON file gave them. */
export type RawValues = ReadonlyMap<string, unknown>;

/** A file's values and how it is called in messages. */
export interface FileValues {
  readonly path: string;
  readonly values: RawValues;
  /** It was found in the current folder rather than asked for by name: whoever wrote that folder wrote it. */
  readonly isFound: boolean;
}

export interface SettingsSources {
  readonly flags: RawValues;
  readonly env: NodeJS.ProcessEnv;
  /** Project file first, then user settings. */
  readonly files: readonly FileValues[];
}

/** Values of one command's flags. Precedence: flag, environment, project file, user settings; else undefined. */
export class SettingsValues {
  readonly #flags: ReadonlyMap<string, Flag>;
  readonly #sources: SettingsSources;

  constructor(flags: readonly Flag[], sources: SettingsSources) {
    this.#flags = new Map(flags.map((flag) => [flag.key, flag]));
    this.#sources = sources;
  }

  text(key: string): string | undefined {
    return this.parse(key, "", (text) => text);
  }

  /** @throws {DuplexityError} `DPX_USAGE` if an environment variable or a file says neither yes nor no. */
  isOn(key: string): boolean {
    const found = this.#find(key);
    if (found === null) return false;
    if (typeof found.value === "boolean") return found.value;
    const word = String(found.value).toLowerCase();
    if (["1", "true", "yes", "on"].includes(word)) return true;
    if (["0", "false", "no", "off"].includes(word)) return false;
    throw wrong(found, "neither yes nor no", "true or false");
  }

  /** Items of a repeatable flag. In the environment commas or spaces stand between them. */
  list(key: string): readonly string[] {
    const found = this.#find(key);
    if (found === null) return [];
    if (Array.isArray(found.value)) return found.value.map((item) => this.#textOf({ ...found, value: item }));
    return this.#textOf(found)
      .split(/[\s,]+/)
      .filter((item) => item !== "");
  }

  count(key: string): number | undefined {
    return this.parse(key, "a whole number", parseCount);
  }

  /** In bytes. */
  size(key: string): number | undefined {
    return this.parse(key, "a size such as 65536, 64KiB or 16MiB", parseSize);
  }

  /** In milliseconds. */
  duration(key: string): number | undefined {
    return this.parse(key, "a time such as 500ms, 30s, 5m, 2h or 1d", parseDuration);
  }

  /**
   * A text read by `parse`, which answers null for what it does not understand.
   *
   * @param wanted What would be right, for the message.
   * @throws {DuplexityError} `DPX_USAGE`, naming where the value came from.
   */
  parse<T>(key: string, wanted: string, parse: (text: string) => T | null): T | undefined {
    const found = this.#find(key);
    if (found === null) return undefined;
    const value = parse(this.#textOf(found));
    if (value === null) throw wrong(found, "not understood", wanted);
    return value;
  }

  /** Which place decides `key`, or null when none does. */
  placeOf(key: string): string | null {
    return this.#find(key)?.place ?? null;
  }

  /** The found file that alone decides `key`: neither this person nor the command said so. Else null. */
  strangerOf(key: string): string | null {
    const deciding = this.#sources.files.find(({ values }) => values.has(key));
    if (deciding?.isFound !== true || this.#find(key)?.place !== placeIn(key, deciding)) return null;
    const isSame = (file: FileValues) => !file.isFound && file.values.get(key) === deciding.values.get(key);
    return this.#sources.files.some(isSame) ? null : deciding.path;
  }

  #textOf(found: Found): string {
    if (typeof found.value === "string" && found.value !== "") return found.value;
    if (typeof found.value === "number") return String(found.value);
    throw wrong(found, found.value === "" ? "empty" : "not a text", "a text");
  }

  #find(key: string): Found | null {
    const flag = this.#flags.get(key);
    if (flag === undefined) return null;
    const { flags, env, files } = this.#sources;
    if (flags.has(key)) return { value: flags.get(key), place: longName(flag) };
    if (flag.isAction) return null;
    const variable = variableOf(key);
    // An empty variable counts as unset: `VAR= command` is how shells and compose files switch one off.
    if (env[variable]) return { value: env[variable], place: variable };
    if (flag.isPerRun) return null;
    for (const file of files) {
      if (file.values.has(key)) return { value: file.values.get(key), place: placeIn(key, file) };
    }
    return null;
  }
}

function placeIn(key: string, file: FileValues): string {
  return `"${key}" in ${file.path}`;
}

function wrong(found: Found, state: string, wanted: string): DuplexityError {
  const shown = JSON.stringify(found.value) ?? String(found.value);
  return new DuplexityError("DPX_USAGE", `Cannot use ${found.place} ${cut(shown)}: it is ${state}; wanted ${wanted}`);
}

function cut(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
