// One process at a time in a folder, with real processes: that live, that died, and whose pids are somebody else's now.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { FolderLock } from "../../../src/server/store/folder-lock.ts";
import { FolderStore } from "../../../src/server/store/folder-store.ts";
import { HANG_MS } from "../../support/bars.ts";
import { seededRandom } from "../../support/seeded.ts";
import { type Stage, useStage } from "../../support/stage.ts";
import { deferred } from "../../support/wait.ts";
import { fileMethods } from "./faulty-files.ts";

const stage = useStage();
/** More turns of the event loop than one takes for the lock. */
const MAX_TURNS = 60;
const NONCE = "0123456789abcdef";

/** A process that does nothing until the stage ends, or is killed. */
async function startIdle(on: Stage): Promise<{ readonly pid: number; end(): Promise<void> }> {
  const child: ChildProcess = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6); console.log()"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const end = (): Promise<void> => {
    child.kill("SIGKILL");
    return gone;
  };
  on.defer(end);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  if (child.pid === undefined) throw new Error("No process");
  return { pid: child.pid, end };
}

async function folderWithLock(lock: unknown): Promise<string> {
  const path = await stage.folder("lock");
  await writeFile(join(path, "lock"), typeof lock === "string" ? lock : JSON.stringify(lock));
  return path;
}

async function pidOfDead(): Promise<number> {
  const { pid, end } = await startIdle(stage);
  await end();
  return pid;
}

/** The lock as a process of another container sees it, where there is no process of that pid. */
async function replaceLock(path: string): Promise<void> {
  const text = JSON.stringify({ pid: await pidOfDead(), started: null, nonce: NONCE });
  await writeFile(join(path, "other"), text);
  await rename(join(path, "other"), join(path, "lock"));
}

function refusedBy(path: string, pid: number) {
  return {
    code: "DPX_STORE",
    message: `Cannot open the store "${path}": process ${pid} uses it`,
    hint: `Stop that process, or use another folder. If it is no duplexity server, delete "${join(path, "lock")}".`,
  };
}

describe("FolderLock", () => {
  it("keeps out a second store, of this process too, until the first is closed", async () => {
    const path = await stage.folder("lock");
    const first = await FolderStore.open({ path });
    await expect(FolderStore.open({ path })).rejects.toMatchObject(refusedBy(path, process.pid));
    await first.put("a", 1);
    await first.close();
    const second = await FolderStore.open({ path });
    expect(await second.get("a")).toBe(1);
    await second.close();
    expect(await readdir(path)).not.toContain("lock");
  });

  it("keeps out everybody while the process that it names lives, whoever's it is", async () => {
    const { pid } = await startIdle(stage);
    const path = await folderWithLock({ pid, started: null, nonce: NONCE });
    await expect(FolderLock.take(path)).rejects.toMatchObject(refusedBy(path, pid));
    const ofRoot = await folderWithLock({ pid: 1, started: null, nonce: NONCE });
    await expect(FolderLock.take(ofRoot)).rejects.toMatchObject(refusedBy(ofRoot, 1));
  });

  it.each([
    ["has died", async () => ({ pid: await pidOfDead(), started: null })],
    ["has died, and its pid is another's now", async () => ({ pid: (await startIdle(stage)).pid, started: "boot:1" })],
    ["had this process's own pid", async () => ({ pid: process.pid, started: null })],
  ])("is taken over from a process that %s", async (_how, holder) => {
    const path = await folderWithLock({ ...(await holder()), nonce: NONCE });
    const lock = await FolderLock.take(path);
    expect(lock.hasTakenOver).toBe(true);
    expect(JSON.parse(await readFile(join(path, "lock"), "utf8"))).toMatchObject({ pid: process.pid });
    expect(await readdir(path)).toEqual(["lock"]);
    await expect(FolderLock.take(path)).rejects.toMatchObject(refusedBy(path, process.pid));
    await lock.release();
    expect(await readdir(path)).toEqual([]);
  });

  it("is taken over from processes that died while they took it over", async () => {
    const pid = await pidOfDead();
    const path = await folderWithLock({ pid, started: null, nonce: NONCE });
    const second = "1".repeat(16);
    await writeFile(join(path, `lock.${NONCE}`), JSON.stringify({ pid, started: null, nonce: second }));
    await writeFile(join(path, `lock.${second}`), JSON.stringify({ pid, started: null, nonce: "2".repeat(16) }));
    await writeFile(
      join(path, `lock.${"3".repeat(16)}.new`),
      JSON.stringify({ pid, started: null, nonce: "3".repeat(16) }),
    );
    const lock = await FolderLock.take(path);
    expect(await readdir(path)).toEqual(["lock"]);
    await lock.release();
  });

  it("refuses when a living process is taking it over from a dead one", async () => {
    const { pid } = await startIdle(stage);
    const path = await folderWithLock({ pid: await pidOfDead(), started: null, nonce: NONCE });
    await writeFile(join(path, `lock.${NONCE}`), JSON.stringify({ pid, started: null, nonce: "1".repeat(16) }));
    await expect(FolderLock.take(path)).rejects.toMatchObject({
      message: expect.stringContaining(`process ${pid} uses it`),
    });
  });

  it.each(["", "{", "[]", '{"pid":"x"}', '{"pid":-1,"started":null,"nonce":"0123456789abcdef"}', "12345\n"])(
    "refuses a lock file that says %j",
    async (text) => {
      const path = await folderWithLock(text);
      await expect(FolderLock.take(path)).rejects.toMatchObject({
        code: "DPX_STORE",
        message: `Cannot open the store: "${join(path, "lock")}" does not say which process uses it`,
        hint: "Delete that file if no duplexity server uses the folder.",
      });
    },
  );

  it("goes to exactly one of many who take over a dead process's, however their steps fall together", async () => {
    const pid = await pidOfDead();
    const random = seededRandom(7);
    const takeLater = async (path: string): Promise<FolderLock> => {
      for (let turns = Math.floor(random() * MAX_TURNS); turns > 0; turns--) await nextTurn();
      return FolderLock.take(path);
    };
    for (let round = 0; round < 150; round++) {
      const path = await folderWithLock({ pid, started: null, nonce: NONCE });
      const taken = await Promise.allSettled(Array.from({ length: 6 }, () => takeLater(path)));
      const locks = taken.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
      expect(locks).toHaveLength(1);
      await locks[0]?.checkHeld();
      expect(await readdir(path)).toEqual(["lock"]);
      await locks[0]?.release();
    }
  });

  it("stops a store that was taken for dead: it confirms nothing more, and changes nothing of the other's", async () => {
    const path = await stage.folder("lock");
    const first = await FolderStore.open({ path });
    stage.defer(() => first.close());
    await first.put("a", "first");
    await replaceLock(path);
    const second = await FolderStore.open({ path });
    stage.defer(() => second.close());
    const lost = { code: "DPX_STORE", message: `Cannot write the store "${path}": another process has taken it over` };
    await expect(first.put("a", "late")).rejects.toMatchObject(lost);
    await expect(first.append("audit", "late")).rejects.toMatchObject(lost);
    await second.put("b", "second");
    await first.close();
    await second.close();
    const third = await FolderStore.open({ path });
    expect(await third.list("")).toEqual([
      { key: "a", value: "first" },
      { key: "b", value: "second" },
    ]);
    await third.close();
  });

  it("keeps what a store that was taken for dead still writes out of the other's files", async () => {
    const methods = await fileMethods(stage);
    const path = await stage.folder("lock");
    const first = await FolderStore.open({ path });
    stage.defer(() => first.close());
    await first.put("a", "first");
    const { write } = methods;
    const released = deferred<undefined>();
    vi.spyOn(methods, "write").mockImplementationOnce(async function (this: typeof methods, ...args: unknown[]) {
      await released.promise;
      return Reflect.apply(write, this, args);
    });
    const late = expect(first.put("a", "late")).rejects.toMatchObject({ code: "DPX_STORE" });
    await vi.waitFor(() => expect(methods.write).toHaveBeenCalled(), HANG_MS);
    await replaceLock(path);
    const second = await FolderStore.open({ path });
    await second.put("b", "second");
    released.resolve(undefined);
    await late;
    await second.put("c", "second");
    await second.close();
    const third = await FolderStore.open({ path });
    expect((await third.list("")).map(({ value }) => value)).toEqual(["first", "second", "second"]);
    await third.close();
  });

  it("is refused where no lock can be made", async () => {
    const path = join(await stage.folder("lock"), "data");
    await mkdir(join(path, "lock"), { recursive: true });
    await expect(FolderLock.take(path)).rejects.toMatchObject({ code: "DPX_STORE" });
  });
});
