// What duplexity keeps for a person on this machine: settings and the client
// key, in one private folder. The only file that imports conf.

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { ClientKey } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { DIRECTORY_MODE, FILE_MODE, makePrivateDirectory, tighten } from "./private-files.ts";
import { checkContent, type Section } from "./settings-file.ts";
import { readOrMakeKey } from "./settings-key.ts";
import type { FileValues } from "./settings-values.ts";
import type { SignIns } from "./sign-ins.ts";

const CONFIG_FILE = "config.json";

export interface UserSettings {
  readonly directory: string;
  /** What `config.json` there says for one side. */
  values(section: Section): FileValues;
  /** The Ed25519 key by which this machine owns its names; made on first use. */
  clientKey(): Promise<ClientKey>;
  /** Who this person is to which server. */
  signIns(): Promise<SignIns>;
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
  const cwd = directoryFromEnv || xdgDirectory(options.env);
  const where = cwd ? { cwd } : { projectName: "duplexity", projectSuffix: "" };
  if (directoryFromEnv) makePrivateDirectory(directoryFromEnv);
  const { path, content } = await readConf(where, directoryFromEnv);
  const directory = dirname(path);
  tighten(path, options.warn);
  return {
    directory,
    values: (section) => ({
      path,
      values: checkContent(content, section, { path, isFound: false }),
      isFound: false,
    }),
    clientKey: () => readOrMakeKey(directory, options.warn),
    async signIns() {
      // Loaded only now: `serve` reads settings as well and signs in nowhere.
      const { SignIns } = await import("./sign-ins.ts");
      return new SignIns({ directory, warn: options.warn });
    },
  };
}

/** The folder that conf would take as well, where it need not be asked: it makes the folder even to read nothing. */
function xdgDirectory(env: NodeJS.ProcessEnv): string | null {
  if (process.platform === "win32" || process.platform === "darwin") return null;
  return join(env.XDG_CONFIG_HOME || join(homedir(), ".config"), "duplexity");
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
