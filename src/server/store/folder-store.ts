// The store of a single server: a folder of this machine. All entries are in memory; a journal makes their changes last,
// and a snapshot keeps the journal short. One process at a time.

import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { FolderLock } from "./folder-lock.ts";
import { Image } from "./image.ts";
import { ImageStore } from "./image-store.ts";
import { Journal } from "./journal.ts";
import { COMPACT_BYTES, JournalCommitter } from "./journal-committer.ts";
import { JOURNAL_FILE, loadFolder } from "./load-folder.ts";
import { ownFilesIn } from "./own-folder.ts";
import { closeFolder, openFolder, tightenFiles } from "./private-folder.ts";

export interface FolderStoreOptions {
  readonly path: string;
  /** Told of what was mended: rights that were too wide, a record that a crash cut short. @default nobody */
  readonly warn?: ((message: string) => void) | undefined;
  /** @default systemClock */
  readonly clock?: Clock;
  /** How long the disk may take before those who wait are told. @default 20_000 */
  readonly stallMs?: number;
  /** Bytes that the journal has at least before it is rewritten. @default 4_194_304 */
  readonly compactBytes?: number;
}

export class FolderStore extends ImageStore {
  /**
   * @throws {DuplexityError} `DPX_STORE` if another process uses the folder, or it is damaged or cannot be written;
   * `DPX_USAGE` if it is somebody else's, with other files in it or open to other users.
   */
  static async open(options: FolderStoreOptions): Promise<FolderStore> {
    const { path, warn = () => {}, clock = systemClock, stallMs = 20_000, compactBytes = COMPACT_BYTES } = options;
    await openFolder(path);
    const files = await ownFilesIn(path);
    await closeFolder(path, warn);
    const lock = await FolderLock.take(path);
    const checkHeld = (): Promise<void> => lock.checkHeld();
    const image = new Image({ clock });
    const journal = new Journal(path, checkHeld);
    const release = async (): Promise<void> => {
      await journal.close();
      await lock.release();
    };
    try {
      const loaded = await loadFolder(path, image);
      await tightenFiles(path, files, warn);
      await journal.open(loaded);
      if (loaded.tornBytes > 0) {
        warn(
          `"${join(path, JOURNAL_FILE)}" ended in ${loaded.tornBytes} bytes that a crash had cut short; they are gone`,
        );
      }
      const { sequence } = loaded;
      // If the process before was taken for dead and lives, it goes on in files that are nobody's any more.
      if (lock.hasTakenOver) await journal.renew(image, sequence).catch((error: unknown) => warn(String(error)));
      const committer = new JournalCommitter({
        image,
        journal,
        path,
        sequence,
        checkHeld,
        release,
        warn,
        stallMs,
        compactBytes,
      });
      return new FolderStore(image, committer);
    } catch (error) {
      image.clear();
      await release();
      throw error;
    }
  }
}
