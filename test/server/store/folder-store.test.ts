// The store in a folder: the contract, on a real disk.

import { join } from "node:path";
import { FolderStore } from "../../../src/server/store/folder-store.ts";
import { useStage } from "../../support/stage.ts";
import { ManualClock } from "../manual-clock.ts";
import { describeStore } from "./store-contract.ts";

const stage = useStage();

describeStore("FolderStore", async () => {
  const clock = new ManualClock();
  const store = await FolderStore.open({ path: join(await stage.folder("store"), "data"), clock });
  return { store, advance: async (ms) => clock.advance(ms) };
});
