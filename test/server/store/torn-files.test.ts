// The folder store's files cut off, flipped and zeroed at every byte: what a crash leaves is mended, anything else is
// refused.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FolderStore } from "../../../src/server/store/folder-store.ts";
import { useStage } from "../../support/stage.ts";

const stage = useStage();
const LINE_FEED = 0x0a;

interface Folder {
  readonly path: string;
  readonly journal: Buffer;
  /** Where the journal's lines end. */
  readonly ends: readonly number[];
}

/** A journal of three commits: `a` counts them. */
async function smallJournal(): Promise<Folder> {
  const path = join(await stage.folder("torn"), "data");
  const store = await FolderStore.open({ path });
  for (let count = 1; count <= 3; count++) await store.update("a", () => ({ count, text: "ä" }));
  await store.close();
  const journal = await readFile(join(path, "journal"));
  const ends = [...journal.entries()].filter(([, byte]) => byte === LINE_FEED).map(([at]) => at + 1);
  return { path, journal, ends };
}

interface Counted {
  readonly count: unknown;
  readonly warnings: readonly string[];
}

/** How many commits a store finds in the folder, and what it says of it; then does `more` with it. */
async function countIn(path: string, more = async (_store: FolderStore): Promise<void> => {}): Promise<Counted> {
  const warnings: string[] = [];
  const store = await FolderStore.open({ path, warn: (message) => warnings.push(message) });
  try {
    const value = await store.get("a");
    await more(store);
    return { count: value === null ? 0 : Object(value).count, warnings };
  } finally {
    await store.close();
  }
}

describe("A journal", () => {
  it("that is cut off at any byte has every commit before it, and takes new ones", async () => {
    const { path, journal, ends } = await smallJournal();
    const [heading = 0] = ends;
    for (let size = heading; size <= journal.length; size++) {
      await writeFile(join(path, "journal"), journal.subarray(0, size));
      const whole = ends.filter((end) => end <= size).length - 1;
      const torn = size - (ends[whole] ?? 0);
      const told = `"${join(path, "journal")}" ended in ${torn} bytes that a crash had cut short; they are gone`;
      const found = await countIn(path, async (store) => store.put("a", { count: "new" }));
      expect(found, `cut at ${size}`).toEqual({ count: whole, warnings: torn === 0 ? [] : [told] });
      expect(await countIn(path), `cut at ${size} and written`).toEqual({ count: "new", warnings: [] });
    }
  });

  it("that is cut off within its heading is refused", async () => {
    const { path, journal, ends } = await smallJournal();
    for (let size = 0; size < (ends[0] ?? 0); size++) {
      await writeFile(join(path, "journal"), journal.subarray(0, size));
      await expect(FolderStore.open({ path }), `cut at ${size}`).rejects.toMatchObject({
        code: "DPX_STORE",
        message: `Cannot open the store: "${join(path, "journal")}" is damaged at byte 0`,
      });
    }
  });

  it("with any byte changed is refused, with the place and what can be done", async () => {
    const { path, journal, ends } = await smallJournal();
    // Without its last line feed the last commit looks like one that a crash cut short.
    for (let at = 0; at < journal.length - 1; at++) {
      const changed = Buffer.from(journal);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      await writeFile(join(path, "journal"), changed);
      const offset = [0, ...ends].filter((end) => end <= at).at(-1) ?? 0;
      await expect(FolderStore.open({ path }), `changed at ${at}`).rejects.toMatchObject({
        code: "DPX_STORE",
        message: `Cannot open the store: "${join(path, "journal")}" is damaged at byte ${offset}`,
        hint: expect.stringContaining(offset === 0 ? "begin with an empty store" : `truncate -s ${offset} "`),
      });
      expect(await readFile(join(path, "journal"))).toEqual(changed);
    }
  });

  it("whose last commit's pages never reached the disk is as if that was not written", async () => {
    const { path, journal, ends } = await smallJournal();
    const last = ends.at(-2) ?? 0;
    for (const from of [last, last + 10, journal.length - 2]) {
      const zeroed = Buffer.from(journal).fill(0, from, journal.length - 1);
      await writeFile(join(path, "journal"), zeroed);
      expect(await countIn(path)).toMatchObject({ count: 2, warnings: [expect.stringContaining("cut short")] });
      await writeFile(join(path, "journal"), Buffer.concat([journal.subarray(0, from), Buffer.alloc(4_096)]));
      expect(await countIn(path)).toMatchObject({ count: 2 });
    }
    const before = Buffer.from(journal).fill(0, ends[1], (ends[1] ?? 0) + 5);
    await writeFile(join(path, "journal"), before);
    await expect(FolderStore.open({ path })).rejects.toMatchObject({ message: expect.stringContaining("damaged") });
  });

  it("in which a commit is missing, twice there or in the wrong place is refused", async () => {
    const { path, journal, ends } = await smallJournal();
    const lines = [0, ...ends].map((end, index) => journal.subarray(end, ends[index])).slice(0, -1);
    for (const order of [
      [0, 1, 3],
      [0, 1, 2, 2, 3],
      [0, 2, 1, 3],
      [1, 2, 3],
      [0, 0, 1],
    ]) {
      await writeFile(join(path, "journal"), Buffer.concat(order.map((index) => lines[index] ?? Buffer.alloc(0))));
      await expect(FolderStore.open({ path }), String(order)).rejects.toMatchObject({ code: "DPX_STORE" });
    }
  });
});

describe("A snapshot", () => {
  async function smallSnapshot(): Promise<{ readonly path: string; readonly snapshot: Buffer }> {
    const path = join(await stage.folder("torn"), "data");
    const store = await FolderStore.open({ path, compactBytes: 200 });
    for (let index = 0; index < 8; index++) await store.put(`k/${index % 2}`, index);
    await store.append("audit", 1);
    await store.close();
    return { path, snapshot: await readFile(join(path, "snapshot")) };
  }

  it("that is cut off or changed at any byte is refused: it was whole before it had its name", async () => {
    const { path, snapshot } = await smallSnapshot();
    const refused = { code: "DPX_STORE", message: expect.stringContaining(`"${join(path, "snapshot")}" is damaged`) };
    for (let at = 0; at < snapshot.length; at++) {
      await writeFile(join(path, "snapshot"), snapshot.subarray(0, at));
      await expect(FolderStore.open({ path }), `cut at ${at}`).rejects.toMatchObject(refused);
      const changed = Buffer.from(snapshot);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      await writeFile(join(path, "snapshot"), changed);
      await expect(FolderStore.open({ path }), `changed at ${at}`).rejects.toMatchObject(refused);
    }
    await writeFile(join(path, "snapshot"), snapshot);
    await (await FolderStore.open({ path })).close();
  });
});
