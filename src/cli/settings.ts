// What duplexity keeps for a person on this machine: settings and the client
// key, in one private folder. The only file that imports conf.

import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ClientKey } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { checkContent, type Section } from "./settings-file.ts";
import type { FileValues } from "./settings-values.ts";

const CONFIG_FILE = "config.json";
const KEY_FILE = "client-key.json";
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export interface UserSettings {
  readonly directory: string;
  /** What `config.json` there says for one side. */
  values(section: Section): FileValues;
  /** The Ed25519 key by which this machine owns its names; made on first use. */
  clientKey(): Promise<ClientKey>;
}

export interface UserSettingsOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Told when something had to be tightened. */
  readonly warn: (message: string) => void;
}

/**
 * Opens the settings in `DUPLEXITY_CONFIG_DIR`, else in the platform's folder for them.
 *
 * @throws {DuplexityError} `DPX_USAGE` if `config.json` is no JSON.
 */
export async function openUserSettings(options: UserSettingsOptions): Promise<UserSettings> {
  const directoryFromEnv = options.env.DUPLEXITY_CONFIG_DIR;
  const where = directoryFromEnv ? { cwd: directoryFromEnv } : { projectName: "duplexity", projectSuffix: "" };
  if (directoryFromEnv) makeDirectory(directoryFromEnv);
  const { path, content } = await readConf(where, directoryFromEnv);
  const directory = dirname(path);
  tighten(directory, DIRECTORY_MODE, options.warn);
  tighten(path, FILE_MODE, options.warn);
  return {
    directory,
    values: (section) => ({ path, values: checkContent(content, section, { path, isFound: false }) }),
    clientKey: () => readOrMakeKey(directory, options.warn),
  };
}

async function readConf(
  where: { cwd: string } | { projectName: string; projectSuffix: string },
  shown: string | undefined,
): Promise<{ path: string; content: unknown }> {
  // Nothing to read, so no need for conf: it takes longer to load than all else.
  if ("cwd" in where && !existsSync(join(where.cwd, CONFIG_FILE))) {
    return { path: join(where.cwd, CONFIG_FILE), content: {} };
  }
  const Conf = await loadConf();
  // conf makes a missing folder itself: this keeps it private from its first moment.
  const umask = process.umask(0o777 & ~DIRECTORY_MODE);
  try {
    const conf = new Conf({ ...where, configName: "config", configFileMode: FILE_MODE });
    return { path: conf.path, content: conf.store };
  } catch (error) {
    const place = shown === undefined ? "the user settings" : `the user settings in "${shown}"`;
    const reason = error instanceof Error ? error.message : String(error);
    throw new DuplexityError("DPX_USAGE", `Cannot read ${place}: ${reason}`, {
      hint: "Mend or delete its config.json, or set DUPLEXITY_CONFIG_DIR to a folder that can be written.",
      cause: error,
    });
  } finally {
    process.umask(umask);
  }
}

/**
 * conf's way of writing files answers each signal by sending it to the process once more, so that one Ctrl-C would
 * count as two: our "finish what runs" would become "stop now". Its listeners go; what it does at exit stays.
 */
async function loadConf() {
  const before = new Map(signalsHeard().map((signal) => [signal, new Set(process.listeners(signal))]));
  const { default: Conf } = await import("conf");
  for (const signal of signalsHeard()) {
    for (const listener of process.listeners(signal)) {
      if (before.get(signal)?.has(listener) !== true) process.off(signal, listener);
    }
  }
  return Conf;
}

function signalsHeard(): NodeJS.Signals[] {
  return process.eventNames().filter((name): name is NodeJS.Signals => typeof name === "string" && /^SIG/.test(name));
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DuplexityError("DPX_USAGE", `Cannot make the settings folder "${directory}": ${reason}`, {
      hint: "Set DUPLEXITY_CONFIG_DIR to a folder that can be written.",
      cause: error,
    });
  }
}

async function readOrMakeKey(directory: string, warn: (message: string) => void): Promise<ClientKey> {
  makeDirectory(directory);
  const path = join(directory, KEY_FILE);
  const existing = readKey(path);
  if (existing !== null) {
    tighten(path, FILE_MODE, warn);
    return existing;
  }
  // Loaded only now: `serve` reads settings as well and needs no client.
  const { newClientKey } = await import("../client/index.ts");
  // Under a name of its own, then linked: of two commands that start at once one wins, and neither reads half a key.
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  writeFileSync(draft, `${JSON.stringify(newClientKey())}\n`, { mode: FILE_MODE, flag: "wx" });
  try {
    linkSync(draft, path);
  } catch (error) {
    if (codeOf(error) !== "EEXIST") writeFileSync(path, readFileSync(draft), { mode: FILE_MODE, flag: "wx" });
  } finally {
    unlinkSync(draft);
  }
  const key = readKey(path);
  if (key === null) throw invalidKey(path, "it vanished while it was made");
  return key;
}

function readKey(path: string): ClientKey | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw invalidKey(path, error instanceof Error ? error.message : String(error));
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw invalidKey(path, "it is not JSON");
  }
  if (!isClientKey(content)) throw invalidKey(path, "it is not an Ed25519 private key (JWK)");
  return { kty: content.kty, crv: content.crv, x: content.x, d: content.d };
}

function isClientKey(value: unknown): value is ClientKey {
  if (typeof value !== "object" || value === null) return false;
  if (!("kty" in value && "crv" in value && "x" in value && "d" in value)) return false;
  const isPart = (part: unknown) => typeof part === "string" && /^[\w-]{43}$/.test(part);
  return value.kty === "OKP" && value.crv === "Ed25519" && isPart(value.x) && isPart(value.d);
}

function invalidKey(path: string, reason: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot read the client key "${path}": ${reason}`, {
    hint: "Restore it, or delete it to get a new one: names that the old one owns stay its own until their grace ends.",
  });
}

/** Takes away what group and others may do. POSIX only: on Windows the folder's own access list decides. */
function tighten(path: string, mode: number, warn: (message: string) => void): void {
  if (process.platform === "win32") return;
  try {
    const current = statSync(path).mode & 0o777;
    if ((current & 0o077) === 0) return;
    chmodSync(path, mode);
    warn(`"${path}" was open to others (mode ${current.toString(8)}); it is ${mode.toString(8)} now`);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") warn(`cannot close "${path}" to others: ${String(error)}`);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
