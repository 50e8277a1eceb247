// Two who take over one dead process's lock, step by step: the second has seen the dead one and is then overtaken.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { FolderLock } from "../../../src/server/store/folder-lock.ts";
import { useStage } from "../../support/stage.ts";
import { deferred } from "../../support/wait.ts";

const stage = useStage();

/** Runs after a holder was found dead, before that is acted upon. */
let afterFoundDead: (() => Promise<void>) | null = null;

vi.mock(import("../../../src/server/store/lock-holder.ts"), async (original) => {
  const module = await original();
  return {
    ...module,
    isAlive: async (holder) => {
      const isAlive = await module.isAlive(holder);
      const pause = afterFoundDead;
      if (!isAlive && pause !== null) {
        afterFoundDead = null;
        await pause();
      }
      return isAlive;
    },
  };
});

describe("FolderLock", () => {
  it.each(["still there", "released again"])("gives way to one that took over first and is %s", async (state) => {
    const path = await stage.folder("lock");
    // No process has a pid beyond 2^22 on Linux.
    await writeFile(join(path, "lock"), '{"pid":99999999,"started":null,"nonce":"0123456789abcdef"}');
    const hasSeen = deferred<undefined>();
    const goesOn = deferred<undefined>();
    afterFoundDead = async () => {
      hasSeen.resolve(undefined);
      await goesOn.promise;
    };
    const slow = FolderLock.take(path);
    const slowEnd = slow.catch((error: unknown) => error);
    await hasSeen.promise;
    const fast = await FolderLock.take(path);
    if (state === "released again") await fast.release();
    goesOn.resolve(undefined);
    if (state === "released again") {
      const lock = await slow;
      await lock.checkHeld();
      expect(lock.hasTakenOver).toBe(false);
      await lock.release();
    } else {
      const message = `Cannot open the store "${path}": process ${process.pid} uses it`;
      expect(await slowEnd).toMatchObject({ code: "DPX_STORE", message });
      await fast.checkHeld();
      expect(await readdir(path)).toEqual(["lock"]);
      expect(JSON.parse(await readFile(join(path, "lock"), "utf8"))).toMatchObject({ pid: process.pid });
      await fast.release();
    }
    expect(await readdir(path)).toEqual([]);
  });
});
