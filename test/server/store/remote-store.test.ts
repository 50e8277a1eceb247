// The store as a node without the backend's role has it: the contract, over real HTTP.

import { describe, expect, it } from "vitest";
import type { CallHandler } from "../../../src/server/calls/index.ts";
import { MemoryStore } from "../../../src/server/store/memory-store.ts";
import { RemoteStore } from "../../../src/server/store/remote-store.ts";
import type { Store } from "../../../src/server/store/store.ts";
import { createStoreCall } from "../../../src/server/store/store-calls.ts";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { openLink, startBackend } from "../calls/stage.ts";
import { ManualClock } from "../manual-clock.ts";
import { describeStore } from "./store-contract.ts";

const stage = useStage();

async function serveStore(store: Store): Promise<string> {
  stage.defer(() => store.close());
  const { origin } = await startBackend(stage, {
    handlers: new Map([["store", createStoreCall(store)]]),
    events: { listen: async (_nodeId, send) => store.watch("", (key) => send({ type: "changed", key })) },
  });
  return origin;
}

describeStore("RemoteStore", async () => {
  const clock = new ManualClock();
  const origin = await serveStore(new MemoryStore({ clock }));
  const store = new RemoteStore(await openLink(stage, [origin]));
  return { store, advance: async (ms) => clock.advance(ms) };
});

describe("RemoteStore", () => {
  it("tells who watches of changes by others", async () => {
    const own = new MemoryStore();
    const origin = await serveStore(own);
    const store = new RemoteStore(await openLink(stage, [origin]));
    const seen: string[] = [];
    store.watch("account/", (key) => seen.push(key));
    await own.put("token/t_1", 1);
    await own.put("account/u_1", 1);
    await poll(() => seen.length > 0, 5_000, "the change", 2);
    expect(seen).toEqual(["account/u_1"]);
  });

  it("adds to a log although the word that it was added is lost", async () => {
    const own = new MemoryStore();
    stage.defer(() => own.close());
    const call = createStoreCall(own);
    let losses = 1;
    const losing: CallHandler = async (body, nodeId) => {
      const answer = await call(body, nodeId);
      losses -= 1;
      if (losses === 0) server.closeAllConnections();
      return answer;
    };
    const { origin, server } = await startBackend(stage, { handlers: new Map([["store", losing]]) });
    const store = new RemoteStore(await openLink(stage, [origin]));
    await store.append("audit", { auditId: "a_1" });
    expect(new Set((await own.readLog("audit", 10)).map((entry) => JSON.stringify(entry)))).toEqual(
      new Set(['{"auditId":"a_1"}']),
    );
  });

  it("lets one of many updates at once win each round, and none be lost", async () => {
    const origin = await serveStore(new MemoryStore());
    const [one, two] = [
      new RemoteStore(await openLink(stage, [origin])),
      new RemoteStore(await openLink(stage, [origin])),
    ];
    const count = (store: Store) => store.update("n", (old) => (typeof old === "number" ? old + 1 : 1));
    await Promise.all(Array.from({ length: 20 }, (_, index) => count(index % 2 === 0 ? one : two)));
    expect(await one.get("n")).toBe(20);
  });
});
