// The Ed25519 key by which this machine owns its names, in a file of its own.

import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientKey } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { codeOf, FILE_MODE, makePrivateDirectory, tighten, unwritable } from "./private-files.ts";

const KEY_FILE = "client-key.json";

/**
 * The key in `directory`; made on first use.
 *
 * @throws {DuplexityError} `DPX_USAGE` if the file is there and holds no key: it is never overwritten.
 */
export async function readOrMakeKey(directory: string, warn: (message: string) => void): Promise<ClientKey> {
  makePrivateDirectory(directory);
  const path = join(directory, KEY_FILE);
  const existing = readKey(path);
  if (existing !== null) {
    tighten(path, warn);
    return existing;
  }
  // Loaded only now: `serve` reads settings as well and needs no client.
  const { newClientKey } = await import("../client/index.ts");
  try {
    publish(path, `${JSON.stringify(newClientKey())}\n`);
  } catch (error) {
    throw unwritable(path, error, "DUPLEXITY_CONFIG_DIR");
  }
  const key = readKey(path);
  if (key === null) throw invalidKey(path, "it vanished while it was made");
  return key;
}

/** Puts `text` at `path` unless something is there. Of two commands that start at once one wins; neither reads half a file. */
function publish(path: string, text: string): void {
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    writeFileSync(draft, text, { mode: FILE_MODE, flag: "wx" });
    link(draft, path);
  } finally {
    // On a full disk half of it may be there.
    rmSync(draft, { force: true });
  }
}

function link(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (error) {
    // Not every file system has links.
    if (codeOf(error) !== "EEXIST") renameSync(draft, path);
  }
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
