// One process at a time in a store's folder. A lock file says who; of a dead process's lock exactly one other becomes
// the successor.
//
// Whoever finds a dead holder N in `lock` links its own file to `lock.N`, which only one can; if that one has died too, to
// `lock.` and that one's nonce, and so on. It holds the lock if the chain from `lock` still leads to it afterwards, and
// then renames its file to `lock`. Nobody ever removes the file of a living process, so no two can follow the same one.

import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, readdir, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { DuplexityError } from "../../protocol/index.ts";
import { forgetOwn, isAlive, type LockHolder, newHolder, parseHolder, rememberOwn } from "./lock-holder.ts";
import { codeOf, FILE_MODE, failed, removeFile } from "./private-folder.ts";

export const LOCK_FILE = "lock";
/** How often it starts again when others take and release the lock meanwhile. */
const MAX_ATTEMPTS = 20;
/** Dead processes in a row, each of which died while it took the lock over. */
const MAX_CHAIN = 64;
const STRAY = /^lock\.[0-9a-f]{16}(\.new)?$/;

export class FolderLock {
  /** Whether the holder before has died without releasing it. */
  readonly hasTakenOver: boolean;
  readonly #folder: string;
  readonly #path: string;
  readonly #nonce: string;
  /** Kept open, so that its inode is nobody else's. */
  readonly #file: FileHandle;
  readonly #inode: bigint;
  #isLost = false;

  private constructor(folder: string, nonce: string, file: FileHandle, inode: bigint, hasTakenOver: boolean) {
    this.#folder = folder;
    this.#path = join(folder, LOCK_FILE);
    this.#nonce = nonce;
    this.#file = file;
    this.#inode = inode;
    this.hasTakenOver = hasTakenOver;
  }

  /** @throws {DuplexityError} `DPX_STORE` if another process that lives holds it, or it cannot be written. */
  static async take(folder: string): Promise<FolderLock> {
    const nonce = randomBytes(8).toString("hex");
    const draft = join(folder, `${LOCK_FILE}.${nonce}.new`);
    rememberOwn(nonce);
    let file: FileHandle | null = null;
    try {
      file = await open(draft, "wx", FILE_MODE);
      await file.writeFile(`${JSON.stringify(await newHolder(nonce))}\n`);
      const { ino } = await file.stat({ bigint: true });
      const hasTakenOver = await acquire(folder, draft);
      await removeStrays(folder);
      return new FolderLock(folder, nonce, file, ino, hasTakenOver);
    } catch (error) {
      forgetOwn(nonce);
      await file?.close();
      throw failed("open", folder, error);
    } finally {
      await removeFile(draft);
    }
  }

  /**
   * Another process may have taken this one for dead, such as from another container: it cannot see this one's processes.
   *
   * @throws {DuplexityError} `DPX_STORE` if one has. From then on always.
   */
  async checkHeld(): Promise<void> {
    if (await this.#isHeld()) return;
    throw new DuplexityError(
      "DPX_STORE",
      `Cannot write the store "${this.#folder}": another process has taken it over`,
      {
        hint: `Restart this server, or stop the other one, which "${this.#path}" names.`,
      },
    );
  }

  async release(): Promise<void> {
    forgetOwn(this.#nonce);
    if (await this.#isHeld()) await removeFile(this.#path);
    await this.#file.close();
  }

  async #isHeld(): Promise<boolean> {
    if (this.#isLost) return false;
    try {
      this.#isLost = (await stat(this.#path, { bigint: true })).ino !== this.#inode;
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw failed("read", this.#path, error);
      this.#isLost = true;
    }
    return !this.#isLost;
  }
}

/** Answers whether it was taken over from a dead process. */
async function acquire(folder: string, draft: string): Promise<boolean> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const end = await linkAtEnd(folder, draft);
    if (end === null) continue;
    if (end === join(folder, LOCK_FILE)) return false;
    if (await leadsTo(folder, end)) {
      await rename(end, join(folder, LOCK_FILE));
      return true;
    }
    // Somebody else had become the successor and made its file the first: then this one follows nobody.
    await removeFile(end);
  }
  throw new DuplexityError("DPX_STORE", `Cannot open the store "${folder}": other processes keep taking its lock`);
}

/** Links `draft` behind the last of the dead; null if the chain changed on the way. */
async function linkAtEnd(folder: string, draft: string): Promise<string | null> {
  let path = join(folder, LOCK_FILE);
  for (let length = 0; length < MAX_CHAIN; length++) {
    try {
      await link(draft, path);
      return path;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    const next = await nextAfter(folder, path);
    if (next === null) return null;
    path = next;
  }
  throw unreadable(join(folder, LOCK_FILE));
}

/** Whether the chain of the dead from `lock` ends at `end`. */
async function leadsTo(folder: string, end: string): Promise<boolean> {
  let path: string | null = join(folder, LOCK_FILE);
  for (let length = 0; path !== null && length < MAX_CHAIN; length++) {
    if (path === end) return true;
    try {
      path = await nextAfter(folder, path);
    } catch (error) {
      await removeFile(end);
      throw error;
    }
  }
  return false;
}

/**
 * Where the successor of the dead holder at `path` is; null if there is no lock.
 *
 * @throws {DuplexityError} `DPX_STORE` if the holder lives.
 */
async function nextAfter(folder: string, path: string): Promise<string | null> {
  const holder = await readHolder(path);
  if (holder === null) return null;
  if (!(await isAlive(holder))) return join(folder, `${LOCK_FILE}.${holder.nonce}`);
  throw new DuplexityError("DPX_STORE", `Cannot open the store "${folder}": process ${holder.pid} uses it`, {
    hint: `Stop that process, or use another folder. If it is no duplexity server, delete "${path}".`,
  });
}

async function readHolder(path: string): Promise<LockHolder | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  }
  const holder = parseHolder(text);
  if (holder === null) throw unreadable(path);
  return holder;
}

/** What processes left that died while they took the lock. */
async function removeStrays(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!STRAY.test(name)) continue;
    const path = join(folder, name);
    const holder = parseHolder(await readFile(path, "utf8").catch(() => ""));
    if (holder !== null && !(await isAlive(holder))) await removeFile(path);
  }
}

function unreadable(path: string): DuplexityError {
  return new DuplexityError("DPX_STORE", `Cannot open the store: "${path}" does not say which process uses it`, {
    hint: "Delete that file if no duplexity server uses the folder.",
  });
}
