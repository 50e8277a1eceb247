// Whether a folder is a store's, or may become one: nothing in it but what a store keeps there, or a journal of ours among
// it. Changes nothing.

import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { DuplexityError } from "../../protocol/index.ts";
import { JOURNAL_FILE, SNAPSHOT_FILE } from "./load-folder.ts";
import { codeOf, failed } from "./private-folder.ts";

/** The files, their drafts, the lock and who waits for it; beside them the link that makes the first admin. */
const OWN = /^((journal|snapshot)(\.new)?|lock(\.[0-9a-f]{16}(\.new)?)?|claim-link)$/;
/** What the root of a disk of its own has. */
const OF_THE_DISK = "lost+found";
const MAX_NAMED = 3;
/** A heading is shorter. */
const HEADING_BYTES = 128;
/** A checksum, and the beginning of `headingJson`. */
const HEADING = /^[0-9a-f]{8} \{"duplexity":"(journal|snapshot)",/;

/**
 * The store's files in the folder.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it is somebody else's folder: it has other files, and no store of ours.
 */
export async function ownFilesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw failed("open", folder, error);
  });
  const own = entries.filter((entry) => entry.isFile() && OWN.test(entry.name)).map(({ name }) => name);
  const others = entries.map(({ name }) => name).filter((name) => !own.includes(name) && name !== OF_THE_DISK);
  if (others.length === 0 || (await hasStore(folder))) return own;
  throw foreign(folder, others);
}

async function hasStore(folder: string): Promise<boolean> {
  for (const name of [JOURNAL_FILE, SNAPSHOT_FILE]) {
    if (HEADING.test(await beginningOf(join(folder, name)))) return true;
  }
  return false;
}

/** Empty if there is none. */
async function beginningOf(path: string): Promise<string> {
  let file: FileHandle | null = null;
  try {
    file = await open(path, "r");
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADING_BYTES), 0, HEADING_BYTES, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } catch (error) {
    // A folder of that name is no journal.
    if (["ENOENT", "EISDIR"].includes(String(codeOf(error)))) return "";
    throw failed("read", path, error);
  } finally {
    await file?.close();
  }
}

function foreign(folder: string, others: readonly string[]): DuplexityError {
  const named = others.slice(0, MAX_NAMED).map((name) => JSON.stringify(name));
  const rest = others.length > MAX_NAMED ? ` and ${others.length - MAX_NAMED} more` : "";
  const message = `Cannot keep a store in "${folder}": it holds ${named.join(", ")}${rest}, wanted a folder of its own`;
  return new DuplexityError("DPX_USAGE", message, {
    hint: `Name a new or an empty folder: --data "${join(folder, "duplexity")}".`,
  });
}
