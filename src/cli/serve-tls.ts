// The certificates that `serve` was told of: for the public listener, and for other nodes. Looks into no certificate.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { DuplexityError } from "../protocol/errors.ts";
import type { NodeTls } from "../server/index.ts";
import type { CommandContext } from "./context.ts";
import type { SettingsValues } from "./settings-values.ts";

/** @throws {DuplexityError} `DPX_USAGE` if one of the two is missing or cannot be read. */
export function readTls(context: CommandContext, values: SettingsValues): { cert: string; key: string } | undefined {
  const files = { cert: ["tlsCert", "--tls-cert"], key: ["tlsKey", "--tls-key"] } as const;
  return readFiles(context, values, files, "Cannot serve TLS");
}

/** @throws {DuplexityError} `DPX_USAGE` if one of the three is missing or cannot be read. */
export function readInternalTls(context: CommandContext, values: SettingsValues): NodeTls | undefined {
  const files = {
    cert: ["internalTlsCert", "--internal-tls-cert"],
    key: ["internalTlsKey", "--internal-tls-key"],
    ca: ["internalTlsCa", "--internal-tls-ca"],
  } as const;
  return readFiles(context, values, files, "Cannot show other nodes a certificate");
}

/** All of them, or undefined for none. */
function readFiles<K extends string>(
  context: CommandContext,
  values: SettingsValues,
  files: Readonly<Record<K, readonly [key: string, flag: string]>>,
  what: string,
): Readonly<Record<K, string>> | undefined {
  const paths: { readonly name: K; readonly flag: string; readonly path: string }[] = [];
  let missing: string | null = null;
  for (const name in files) {
    const [key, flag] = files[name];
    const path = values.text(key);
    if (path === undefined) missing ??= flag;
    else paths.push({ name, flag, path });
  }
  if (paths.length === 0) return undefined;
  if (missing !== null) {
    throw new DuplexityError("DPX_USAGE", `${what}: ${missing} is missing, a certificate and its key belong together`);
  }
  const read: Record<string, string> = {};
  for (const { name, flag, path } of paths) read[name] = readPem(context, path, flag);
  return isWhole(read, files) ? read : undefined;
}

/** For the type: whether there is a text for each. */
function isWhole<K extends string>(
  read: Readonly<Record<string, string>>,
  files: Readonly<Record<K, unknown>>,
): read is Readonly<Record<K, string>> {
  return Object.keys(files).every((name) => Object.hasOwn(read, name));
}

function readPem(context: CommandContext, path: string, flag: string): string {
  try {
    return readFileSync(resolve(context.cwd, path), "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DuplexityError("DPX_USAGE", `Cannot read "${path}" (${flag}): ${reason}`, { cause: error });
  }
}
