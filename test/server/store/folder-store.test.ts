// The store in a folder, on a real disk: the contract, who may read it, and what becomes of it when the disk fails.

import { chmod, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { FolderStore, type FolderStoreOptions } from "../../../src/server/store/folder-store.ts";
import { openStore } from "../../../src/server/store/index.ts";
import { MAX_WAITING } from "../../../src/server/store/journal-committer.ts";
import { encodeLine } from "../../../src/server/store/line-file.ts";
import { HANG_MS } from "../../support/bars.ts";
import { useStage } from "../../support/stage.ts";
import { deferred } from "../../support/wait.ts";
import { ManualClock } from "../manual-clock.ts";
import { fileMethods, systemError } from "./faulty-files.ts";
import { describeStore } from "./store-contract.ts";

const stage = useStage();

describeStore("FolderStore", async () => {
  const clock = new ManualClock();
  const store = await FolderStore.open({ path: join(await stage.folder("store"), "data"), clock });
  return { store, advance: async (ms) => clock.advance(ms) };
});

async function newPath(): Promise<string> {
  return join(await stage.folder("store"), "data");
}

async function openAt(path: string, options: Partial<FolderStoreOptions> = {}): Promise<FolderStore> {
  const store = await FolderStore.open({ ...options, path });
  stage.defer(() => store.close());
  return store;
}

/** Everything that a store that is opened anew finds. */
async function contentOf(path: string): Promise<unknown> {
  const store = await FolderStore.open({ path });
  try {
    return { entries: await store.list(""), log: await store.readLog("audit", 100) };
  } finally {
    await store.close();
  }
}

const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

describe("FolderStore's entries", () => {
  it("are there in the next process, with the time that they have left, and logs too", async () => {
    const path = await newPath();
    const clock = new ManualClock();
    const store = await openStore({ kind: "folder", path });
    await store.put("account/a", { name: "Grüße 🐈", nested: [null, { a: 1 }] });
    await store.put("gone", 1);
    await store.delete("gone");
    for (const at of [1, 2, 3]) await store.append("audit", { at });
    await store.close();
    const second = await FolderStore.open({ path, clock });
    await second.put("session", 1, { ttlMs: 60_000 });
    await second.put("short", 1, { ttlMs: 10_000 });
    await second.close();
    clock.sleep(20_000);
    const third = await openAt(path, { clock });
    expect(await third.list("")).toEqual([
      { key: "account/a", value: { name: "Grüße 🐈", nested: [null, { a: 1 }] } },
      { key: "session", value: 1 },
    ]);
    expect(await third.readLog("audit", 2)).toEqual([{ at: 2 }, { at: 3 }]);
    clock.advance(40_000);
    expect(await third.get("session")).toBeNull();
  });

  it("take no more of the disk than a few times what they are", async () => {
    const path = await newPath();
    const store = await openAt(path, { compactBytes: 10_000 });
    for (let index = 0; index < 500; index++) await store.put(`k/${index % 5}`, { index, padding: "x".repeat(500) });
    await store.append("audit", 1);
    const sizes = await Promise.all(["journal", "snapshot"].map(async (name) => (await stat(join(path, name))).size));
    expect(Math.max(...sizes)).toBeLessThan(12_000);
    await store.close();
    expect(await readdir(path)).toEqual(["journal", "snapshot"]);
    const again = await openAt(path);
    expect((await again.list("")).map(({ value }) => value)).toMatchObject(
      [495, 496, 497, 498, 499].map((index) => ({ index })),
    );
    expect(await again.readLog("audit", 10)).toEqual([1]);
  });
});

describe("FolderStore's files", () => {
  it("are their owner's alone", async () => {
    const path = await newPath();
    const old = process.umask(0);
    try {
      const store = await openAt(path, { compactBytes: 100 });
      for (let index = 0; index < 5; index++) await store.put("a", index);
    } finally {
      process.umask(old);
    }
    expect(await modeOf(path)).toBe("700");
    for (const name of ["journal", "snapshot", "lock"]) expect(await modeOf(join(path, name))).toBe("600");
  });

  it("are closed to others where they are not, and that is told", async () => {
    const path = await newPath();
    await (await FolderStore.open({ path })).close();
    await chmod(path, 0o755);
    await chmod(join(path, "journal"), 0o644);
    const warnings: string[] = [];
    await openAt(path, { warn: (message) => warnings.push(message) });
    expect(warnings).toEqual([
      `"${path}" was open to others (mode 755); it is 700 now`,
      `"${join(path, "journal")}" was open to others (mode 644); it is 600 now`,
    ]);
    expect(await modeOf(path)).toBe("700");
    expect(await modeOf(join(path, "journal"))).toBe("600");
  });

  it("are the only ones that are closed: others in its folder are not its business", async () => {
    const path = await newPath();
    await (await FolderStore.open({ path })).close();
    await writeFile(join(path, "notes.txt"), "mine", { mode: 0o644 });
    await openAt(path);
    expect(await modeOf(join(path, "notes.txt"))).toBe("644");
  });

  it.each([
    ["other files", ["a", "b", "c", "d"], 'it holds "a", "b", "c" and 1 more, wanted a folder of its own'],
    ["a journal that is not a store's", ["journal", "notes"], 'it holds "notes", wanted a folder of its own'],
  ])("are not put among %s, and nothing there is touched", async (_what, names, message) => {
    const path = await stage.folder("store");
    await chmod(path, 0o755);
    for (const name of names) await writeFile(join(path, name), "mine", { mode: 0o644 });
    await expect(FolderStore.open({ path })).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot keep a store in "${path}": ${message}`,
      hint: `Name a new or an empty folder: --data "${path}/duplexity".`,
    });
    expect(await readdir(path)).toEqual(names);
    for (const name of names) expect(await modeOf(join(path, name))).toBe("644");
    expect(await modeOf(path)).toBe("755");
  });

  it("may lie in the root of a disk of its own", async () => {
    const path = await stage.folder("store");
    await mkdir(join(path, "lost+found"));
    await openAt(path);
  });

  it("are in another user's folder only when nobody else may write there", async () => {
    const path = await newPath();
    await mkdir(path);
    const { uid } = await stat(path);
    const getuid = vi.spyOn(process, "getuid").mockReturnValue(uid + 1);
    stage.defer(() => getuid.mockRestore());
    await chmod(path, 0o757);
    await expect(FolderStore.open({ path })).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot keep a store in "${path}": it is another user's, and others may write in it (mode 757)`,
      hint: "Name a folder of this user's own: --data DIR.",
    });
    expect(await readdir(path)).toEqual([]);
    await chmod(path, 0o755);
    const warnings: string[] = [];
    await openAt(path, { warn: (message) => warnings.push(message) });
    expect(warnings).toEqual([`"${path}" is another user's and open to others; only its files are closed to them`]);
    expect(await modeOf(path)).toBe("755");
  });

  it("are refused where none can be", async () => {
    const file = join(await stage.folder("store"), "file");
    await writeFile(file, "");
    for (const path of [file, join(file, "below"), "/proc/duplexity"]) {
      await expect(FolderStore.open({ path })).rejects.toMatchObject({
        code: "DPX_STORE",
        message: expect.stringContaining(`Cannot open the store "${path}"`),
      });
    }
  });
});

describe("A commit", () => {
  it("is confirmed, and seen, when the disk has it and not before", async () => {
    const methods = await fileMethods(stage);
    const path = await newPath();
    const store = await openAt(path);
    await store.put("a", 1);
    const synced = deferred<undefined>();
    vi.spyOn(methods, "datasync").mockImplementationOnce(() => synced.promise);
    const settled: string[] = [];
    const put = store.put("a", 2).then(() => settled.push("put"));
    const taken = store.take("a").then((value) => settled.push(`took ${value}`));
    await vi.waitFor(() => expect(methods.datasync).toHaveBeenCalled(), HANG_MS);
    expect(await store.get("a")).toBe(1);
    expect(settled).toEqual([]);
    synced.resolve(undefined);
    await Promise.all([put, taken]);
    expect(settled).toEqual(["put", "took 2"]);
    expect(await store.get("a")).toBeNull();
  });

  it("holds all that waits for the disk", async () => {
    const methods = await fileMethods(stage);
    const store = await openAt(await newPath());
    const datasync = vi.spyOn(methods, "datasync");
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => store.put(`k/${index}`, index)));
    expect(datasync.mock.calls.length).toBeLessThanOrEqual(3);
    expect(await store.list("")).toHaveLength(1_000);
  });

  it("waits with no more calls than may wait", async () => {
    const store = await openAt(await newPath());
    const calls = Array.from({ length: MAX_WAITING }, () => store.put("a", 1));
    await expect(store.put("a", 1)).rejects.toMatchObject({
      code: "DPX_STORE",
      message: expect.stringContaining(`${MAX_WAITING} calls wait for the disk already`),
    });
    await Promise.all(calls);
  });

  it("is finished before the store is closed", async () => {
    const path = await newPath();
    const store = await openAt(path);
    const put = store.put("a", 1);
    await store.close();
    await put;
    expect(await contentOf(path)).toMatchObject({ entries: [{ key: "a", value: 1 }] });
  });
});

describe("A disk that fails", () => {
  it("refuses what it has not taken, and what it has is all that is there", async () => {
    const methods = await fileMethods(stage);
    const path = await newPath();
    const store = await openAt(path);
    await store.put("a", 1);
    const { truncate } = methods;
    // A disk that runs full takes a part of what is written.
    const halfway = vi.spyOn(methods, "write").mockImplementation(async function (this: typeof methods) {
      await truncate.call(this, (await this.stat()).size + 7);
      throw systemError("ENOSPC", "no space left on device, write");
    });
    const refused = {
      code: "DPX_STORE",
      message: expect.stringMatching(/^Cannot write the store ".*journal": ENOSPC: no space left on device/),
      hint: expect.stringContaining("Make room"),
    };
    const calls = [store.put("a", 2), store.take("a"), store.append("audit", 1), store.update("b", () => 1)];
    for (const call of calls) await expect(call).rejects.toMatchObject(refused);
    await expect(store.delete("a")).rejects.toMatchObject(refused);
    expect(await store.list("")).toEqual([{ key: "a", value: 1 }]);
    halfway.mockRestore();
    await store.put("c", 3);
    expect(await store.list("")).toMatchObject([{ key: "a", value: 1 }, { key: "c" }]);
    await store.close();
    expect(await contentOf(path)).toEqual({
      entries: [
        { key: "a", value: 1 },
        { key: "c", value: 3 },
      ],
      log: [],
    });
  });

  it("is written anew from the memory when not even its end could be mended", async () => {
    const methods = await fileMethods(stage);
    const path = await newPath();
    const store = await openAt(path);
    await store.put("a", 1);
    const failure = systemError("EIO", "i/o error, fdatasync");
    const datasync = vi.spyOn(methods, "datasync").mockRejectedValue(failure);
    await expect(store.put("a", 2)).rejects.toMatchObject({ code: "DPX_STORE", cause: failure });
    datasync.mockRestore();
    const sync = vi.spyOn(methods, "sync").mockRejectedValue(failure);
    await expect(store.put("a", 3)).rejects.toMatchObject({ message: expect.stringContaining("snapshot") });
    sync.mockRestore();
    await store.put("b", 1);
    await store.close();
    expect(await readdir(path)).toEqual(["journal", "snapshot"]);
    expect(await contentOf(path)).toMatchObject({
      entries: [
        { key: "a", value: 1 },
        { key: "b", value: 1 },
      ],
    });
  });

  it("goes on with a long journal when it cannot be made shorter, and says so", async () => {
    const methods = await fileMethods(stage);
    const path = await newPath();
    const warnings: string[] = [];
    const store = await openAt(path, { compactBytes: 1_000, warn: (message) => warnings.push(message) });
    const sync = vi.spyOn(methods, "sync").mockRejectedValue(systemError("ENOSPC", "no space left on device, fsync"));
    for (let index = 0; index < 20; index++) await store.put("a", "x".repeat(100));
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings.length).toBeLessThan(5);
    expect(warnings[0]).toMatch(/^cannot make the journal shorter: Cannot write the store ".*snapshot": ENOSPC/);
    sync.mockRestore();
    for (let index = 0; index < 20; index++) await store.put("a", index);
    await store.close();
    expect((await stat(join(path, "journal"))).size).toBeLessThan(2_000);
    expect(await contentOf(path)).toMatchObject({ entries: [{ key: "a", value: 19 }] });
  });

  it("keeps nobody waiting when it does not answer, and what it took in the end is there", async () => {
    const methods = await fileMethods(stage);
    const store = await openAt(await newPath(), { stallMs: 20 });
    const synced = deferred<undefined>();
    vi.spyOn(methods, "datasync").mockImplementationOnce(() => synced.promise);
    const stalled = {
      code: "DPX_STORE",
      message: expect.stringContaining("the disk has not answered for 20 ms, whether it is kept is unknown"),
    };
    const first = expect(store.put("a", 1)).rejects.toMatchObject(stalled);
    await vi.waitFor(() => expect(methods.datasync).toHaveBeenCalled(), HANG_MS);
    const second = expect(store.put("b", 1)).rejects.toMatchObject(stalled);
    await Promise.all([first, second]);
    await expect(store.put("c", 1)).rejects.toMatchObject(stalled);
    expect(await store.list("")).toEqual([]);
    synced.resolve(undefined);
    await vi.waitFor(() => store.put("d", 1), HANG_MS);
    expect(await store.list("")).toEqual([
      { key: "a", value: 1 },
      { key: "d", value: 1 },
    ]);
  });
});

describe("A folder that is not whole", () => {
  async function filled(): Promise<string> {
    const path = await newPath();
    const store = await FolderStore.open({ path, compactBytes: 300 });
    for (let index = 0; index < 10; index++) await store.put("a", `value ${index}`);
    await store.close();
    return path;
  }

  it("is refused with the file that is missing", async () => {
    const withoutJournal = await filled();
    await rm(join(withoutJournal, "journal"));
    await expect(FolderStore.open({ path: withoutJournal })).rejects.toMatchObject({
      code: "DPX_STORE",
      message: `Cannot open the store: "${join(withoutJournal, "journal")}" is missing: the snapshot beside it needs one`,
      hint: expect.stringContaining("Restore the whole folder from one backup"),
    });
    const withoutSnapshot = await filled();
    await rm(join(withoutSnapshot, "snapshot"));
    await expect(FolderStore.open({ path: withoutSnapshot })).rejects.toMatchObject({
      code: "DPX_STORE",
      message: expect.stringMatching(/journal" goes on from commit \d+, and the snapshot beside it is missing/),
    });
  });

  it("is refused when it is of a later format", async () => {
    const path = await newPath();
    await (await FolderStore.open({ path })).close();
    await writeFile(join(path, "journal"), encodeLine('{"duplexity":"journal","version":2,"sequence":0}'));
    await expect(FolderStore.open({ path })).rejects.toMatchObject({
      message: `Cannot open the store: "${join(path, "journal")}" has format 2, this version reads 1`,
      hint: "Start the version of duplexity that wrote it.",
    });
  });

  it("opens with the journal from before a compaction that ended between its two files", async () => {
    const methods = await fileMethods(stage);
    const path = await newPath();
    const warnings: string[] = [];
    const store = await FolderStore.open({ path, compactBytes: 1_000, warn: (message) => warnings.push(message) });
    const { sync } = methods;
    let syncs = 0;
    // The snapshot, its name in the folder; and then the new journal.
    vi.spyOn(methods, "sync").mockImplementation(async function (this: typeof methods) {
      if (++syncs === 3) throw systemError("EIO", "i/o error, fsync");
      return sync.call(this);
    });
    for (let index = 0; index < 100 && syncs < 3; index++) await store.put(`k/${index % 3}`, `value ${index}`);
    expect(warnings).toEqual([expect.stringMatching(/journal": EIO/)]);
    await store.put("last", 1);
    const entries = await store.list("");
    await store.close();
    expect((await stat(join(path, "journal"))).size).toBeGreaterThan(1_000);
    expect(await contentOf(path)).toEqual({ entries, log: [] });
  });
});
