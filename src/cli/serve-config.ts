// What `serve --print-config` shows: each setting, as it would be used, and which place decided it. Secrets are only said
// to be there. Opens nothing.

import { resolve } from "node:path";
import { type Flag, SERVE_FLAGS, variableOf } from "./flags.ts";
import { defaultDataFolder } from "./serve-identity.ts";
import type { SettingsValues } from "./settings-values.ts";
import { parseCount, parseDuration, parseSize } from "./units.ts";

export interface ConfigEntry {
  /** Null: not set, and there is no default. */
  readonly value: string | number | boolean | readonly string[] | null;
  readonly unit?: "bytes" | "ms";
  /** `--drain`, `DUPLEXITY_DRAIN`, `"drain" in /etc/duplexity/duplexity.json`, or `default`. */
  readonly from: string;
}

export interface ConfigSurroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

const SET = "(set)";
const DEFAULT = "default";
/** Flags that name a file with a secret: it may also be in a variable of its own. */
const SECRET_FILE = /(Token|Secret)File$/;

/** By the keys of the config file; secrets by their flag's key without `File`. */
export function configEntries(
  values: SettingsValues,
  around: ConfigSurroundings,
): Readonly<Record<string, ConfigEntry>> {
  const entries: Record<string, ConfigEntry> = {};
  for (const flag of SERVE_FLAGS) {
    if (flag.isPerRun) continue;
    entries[flag.key] = entryOf(flag, values, around);
    if (SECRET_FILE.test(flag.key)) entries[flag.key.replace(/File$/, "")] = secretOf(flag, values, around);
  }
  return entries;
}

function entryOf(flag: Flag, values: SettingsValues, around: ConfigSurroundings): ConfigEntry {
  const { key, kind, fallback = "" } = flag;
  const from = values.placeOf(key) ?? DEFAULT;
  switch (kind) {
    case "switch":
      return { value: values.isOn(key), from };
    case "list":
      return { value: values.list(key).map(withoutPassword), from };
    case "count":
      return { value: values.count(key) ?? parseCount(fallback), from };
    case "size":
      return { value: values.size(key) ?? parseSize(fallback), unit: "bytes", from };
    case "duration":
      return { value: values.duration(key) ?? parseDuration(fallback), unit: "ms", from };
    case "text":
      return { value: textOf(flag, values, around), from };
  }
}

function textOf({ key, fallback }: Flag, values: SettingsValues, { env, cwd }: ConfigSurroundings): string | null {
  const text = values.text(key);
  if (key === "data") return text === undefined ? defaultDataFolder(env) : resolve(cwd, text);
  if (text !== undefined) return withoutPassword(text);
  // A default in words, such as "its address", depends on what is not known before the server runs.
  return fallback === undefined || fallback.includes(" ") ? null : fallback;
}

/** The same order as when it is read: the flag's file, the variable, the file that other places name. */
function secretOf({ key }: Flag, values: SettingsValues, { env }: ConfigSurroundings): ConfigEntry {
  const variable = variableOf(key.replace(/File$/, ""));
  const place = values.placeOf(key);
  if (env[variable] && place?.startsWith("--") !== true) return { value: SET, from: variable };
  return place === null ? { value: null, from: DEFAULT } : { value: SET, from: place };
}

/** Not by a URL's parser: Redis has several hosts in one. */
function withoutPassword(text: string): string {
  return text.replace(/^([a-z+.-]+:\/\/[^/?#]*?:)[^/?#]+@/i, `$1${SET}@`);
}
