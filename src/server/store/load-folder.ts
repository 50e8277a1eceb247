// Reads a store's folder into an image: the snapshot, then the commits of the journal that came after it. What a crash cut
// short was confirmed to nobody and is dropped; anything else that does not fit is refused, since it was confirmed.

import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { DuplexityError } from "../../protocol/index.ts";
import type { Image } from "./image.ts";
import { decodeLine, type Line, readLines } from "./line-file.ts";
import { codeOf, failed } from "./private-folder.ts";
import {
  type FileKind,
  FORMAT_VERSION,
  type Heading,
  parseChange,
  parseCommit,
  parseEnding,
  parseHeading,
} from "./records.ts";

export const SNAPSHOT_FILE = "snapshot";
export const JOURNAL_FILE = "journal";

export interface Loaded {
  /** Of the last commit. */
  readonly sequence: number;
  /** Bytes of the journal that count; null if there is none, and the folder is new. */
  readonly journalBytes: number | null;
  /** Bytes after them that a crash left: to be cut off before anything is written. */
  readonly tornBytes: number;
}

/** @throws {DuplexityError} `DPX_STORE` if a file is damaged or missing, with where and what to do. */
export async function loadFolder(folder: string, image: Image): Promise<Loaded> {
  const snapshot = await reading(join(folder, SNAPSHOT_FILE), (file, path) => loadSnapshot(file, path, image));
  const journal = await reading(join(folder, JOURNAL_FILE), (file, path) =>
    loadJournal(file, path, { image, snapshot }),
  );
  if (journal !== null) return journal;
  if (snapshot !== null) throw missing(join(folder, JOURNAL_FILE), "the snapshot beside it needs one");
  return { sequence: 0, journalBytes: null, tornBytes: 0 };
}

/** Null if there is no such file. */
async function reading<T>(path: string, read: (file: FileHandle, path: string) => Promise<T>): Promise<T | null> {
  let file: FileHandle | null = null;
  try {
    file = await open(path, "r");
    return await read(file, path);
  } catch (error) {
    if (file === null && codeOf(error) === "ENOENT") return null;
    throw failed("read", path, error);
  } finally {
    await file?.close();
  }
}

/** Answers the sequence of the last commit in it. */
async function loadSnapshot(file: FileHandle, path: string, image: Image): Promise<number> {
  let heading: Heading | null = null;
  let count = 0;
  let offset = 0;
  for await (const line of readLines(file)) {
    offset = line.offset;
    const value = decodeLine(line);
    if (heading === null) {
      heading = checkHeading("snapshot", value, path);
      continue;
    }
    const change = parseChange(value);
    if (change !== null) {
      image.apply([change]);
      count++;
    } else if (line.isLast && parseEnding(value) === count) {
      return heading.sequence;
    } else {
      throw damaged(path, line.offset);
    }
  }
  throw damaged(path, offset);
}

async function loadJournal(
  file: FileHandle,
  path: string,
  before: { readonly image: Image; readonly snapshot: number | null },
): Promise<Loaded> {
  let heading: Heading | null = null;
  let sequence = 0;
  let journalBytes = 0;
  let tornBytes = 0;
  for await (const line of readLines(file)) {
    const value = decodeLine(line);
    if (heading === null) {
      heading = checkHeading("journal", value, path);
      sequence = heading.sequence;
      checkFollows(heading, before.snapshot, path);
    } else if (isTorn(line, value)) {
      tornBytes = line.bytes.length + (line.isWhole ? 1 : 0);
      break;
    } else {
      const commit = parseCommit(value);
      if (commit === null || commit.sequence !== sequence + 1) throw damaged(path, line.offset);
      sequence = commit.sequence;
      // A crash between the two files of a compaction leaves the journal from before it.
      if (sequence > (before.snapshot ?? 0)) before.image.apply(commit.changes);
    }
    journalBytes = line.offset + line.bytes.length + 1;
  }
  if (heading === null) throw damaged(path, 0);
  if (sequence < (before.snapshot ?? 0)) throw missing(path, "commits at its end, which the snapshot beside it has,");
  return { sequence, journalBytes, tornBytes };
}

/** A crash cuts a line short, or (when the machine crashed) leaves pages of it as zeros. Only the last can be such a one. */
function isTorn(line: Line, value: unknown): boolean {
  return line.isLast && value === undefined && (!line.isWhole || line.bytes.includes(0));
}

function checkHeading(kind: FileKind, value: unknown, path: string): Heading {
  const heading = parseHeading(kind, value);
  if (heading === null) throw damaged(path, 0);
  if (heading.version === FORMAT_VERSION) return heading;
  throw new DuplexityError(
    "DPX_STORE",
    `Cannot open the store: "${path}" has format ${heading.version}, this version reads ${FORMAT_VERSION}`,
    { hint: "Start the version of duplexity that wrote it." },
  );
}

function checkFollows(journal: Heading, snapshot: number | null, path: string): void {
  if (journal.sequence <= (snapshot ?? 0)) return;
  const what = snapshot === null ? "is missing" : `ends at commit ${snapshot}`;
  throw new DuplexityError(
    "DPX_STORE",
    `Cannot open the store: "${path}" goes on from commit ${journal.sequence}, and the snapshot beside it ${what}`,
    { hint: "Restore the whole folder from one backup." },
  );
}

function damaged(path: string, offset: number): DuplexityError {
  const isJournal = path.endsWith(JOURNAL_FILE) && offset > 0;
  return new DuplexityError("DPX_STORE", `Cannot open the store: "${path}" is damaged at byte ${offset}`, {
    hint: isJournal
      ? `Restore the folder from a backup, or give up all that came later: truncate -s ${offset} "${path}"`
      : "Restore the folder from a backup, or move it away to begin with an empty store.",
  });
}

function missing(path: string, what: string): DuplexityError {
  return new DuplexityError("DPX_STORE", `Cannot open the store: "${path}" is missing: ${what}`, {
    hint: "Restore the whole folder from one backup, or move it away to begin with an empty store.",
  });
}
