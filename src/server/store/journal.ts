// The two files of a store's folder: the snapshot, and the journal of what was committed after it. A commit is one line
// and is there when the disk says so; both files are only ever replaced whole, by renaming.

import { type FileHandle, open, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Image } from "./image.ts";
import { encodeLine, writeAll } from "./line-file.ts";
import { JOURNAL_FILE, type Loaded, SNAPSHOT_FILE } from "./load-folder.ts";
import { FILE_MODE, failed, removeFile, syncFolder } from "./private-folder.ts";
import { type Commit, changeJson, commitJson, endingJson, headingJson } from "./records.ts";

/** A snapshot is written in pieces of this size, so that the process answers in between. */
const PIECE_BYTES = 1_048_576;

export class Journal {
  readonly #folder: string;
  /** Asked before one of the files is replaced; throws if it is another process's by now. */
  readonly #checkHeld: () => Promise<void>;
  #file: FileHandle | null = null;
  #bytes = 0;
  #isSound = false;

  constructor(folder: string, checkHeld: () => Promise<void>) {
    this.#folder = folder;
    this.#checkHeld = checkHeld;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False after a failure that may have left something at its end: then `renew` comes before the next commit. */
  get isSound(): boolean {
    return this.#isSound;
  }

  /** Goes on in the journal that was loaded, without what a crash left at its end; makes one in a new folder. */
  async open(loaded: Loaded): Promise<void> {
    if (loaded.journalBytes === null) return this.#begin(loaded.sequence);
    const path = join(this.#folder, JOURNAL_FILE);
    try {
      this.#file = await open(path, "r+");
      this.#bytes = loaded.journalBytes;
      if (loaded.tornBytes > 0) await this.#cutBack(this.#file);
      this.#isSound = true;
    } catch (error) {
      throw failed("open", path, error);
    }
  }

  /**
   * Resolves when the disk has it.
   *
   * @throws {DuplexityError} `DPX_STORE` if it has not; then the commit is not in the journal, or the journal not sound.
   */
  async append(commit: Commit): Promise<void> {
    const file = this.#file;
    const path = join(this.#folder, JOURNAL_FILE);
    if (file === null) throw failed("write", path, "it is closed");
    const line = encodeLine(commitJson(commit));
    this.#isSound = false;
    try {
      await writeAll(file, line, this.#bytes);
      await file.datasync();
    } catch (error) {
      await this.#cutBack(file).then(
        () => (this.#isSound = true),
        // Nothing is lost by this one: `renew` writes a new journal, and says what is wrong if it cannot either.
        () => {},
      );
      throw failed("write", path, error);
    }
    this.#bytes += line.length;
    this.#isSound = true;
  }

  /**
   * Writes all of `image` as the snapshot and begins an empty journal. A crash at any moment leaves one or the other.
   *
   * @throws {DuplexityError} `DPX_STORE` if it cannot be written; then all is as before.
   */
  async renew(image: Image, sequence: number): Promise<void> {
    const path = join(this.#folder, SNAPSHOT_FILE);
    try {
      const file = await openDraft(path);
      try {
        await writeSnapshot(file, image, sequence);
        await this.#checkHeld();
        await rename(draftOf(path), path);
      } finally {
        await file.close();
      }
      await syncFolder(this.#folder);
    } catch (error) {
      await removeFile(draftOf(path)).catch(() => {});
      throw failed("write", path, error);
    }
    await this.#begin(sequence);
  }

  async close(): Promise<void> {
    this.#isSound = false;
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  /** An empty journal that follows commit `sequence`, in the place of the one before. */
  async #begin(sequence: number): Promise<void> {
    const path = join(this.#folder, JOURNAL_FILE);
    let file: FileHandle | null = null;
    try {
      file = await openDraft(path);
      const heading = encodeLine(headingJson("journal", sequence));
      await writeAll(file, heading, 0);
      await file.sync();
      await this.#checkHeld();
      await rename(draftOf(path), path);
      // From here on the old file is nobody's; and the new one is not sure of its name until the folder was synced.
      this.#isSound = false;
      const old = this.#file;
      this.#file = file;
      this.#bytes = heading.length;
      await old?.close();
      await syncFolder(this.#folder);
      this.#isSound = true;
    } catch (error) {
      if (file !== this.#file) await file?.close();
      await removeFile(draftOf(path)).catch(() => {});
      throw failed("write", path, error);
    }
  }

  /** Takes away what may be there beyond what was committed. */
  async #cutBack(file: FileHandle): Promise<void> {
    await file.truncate(this.#bytes);
    await file.datasync();
  }
}

function draftOf(path: string): string {
  return `${path}.new`;
}

async function openDraft(path: string): Promise<FileHandle> {
  // One that a crash left is begun anew.
  await removeFile(draftOf(path));
  return open(draftOf(path), "wx", FILE_MODE);
}

async function writeSnapshot(file: FileHandle, image: Image, sequence: number): Promise<void> {
  let position = 0;
  let pieces = [encodeLine(headingJson("snapshot", sequence))];
  let bytes = 0;
  let count = 0;
  const flush = async (): Promise<void> => {
    const piece = Buffer.concat(pieces);
    await writeAll(file, piece, position);
    position += piece.length;
    pieces = [];
    bytes = 0;
  };
  for (const change of image.changes()) {
    const line = encodeLine(changeJson(change));
    pieces.push(line);
    bytes += line.length;
    count++;
    if (bytes >= PIECE_BYTES) await flush();
  }
  pieces.push(encodeLine(endingJson(count)));
  await flush();
  await file.sync();
}
