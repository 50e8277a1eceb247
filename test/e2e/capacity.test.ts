// Many clients that do nothing, in several processes, on one node: what each costs, and that nothing of them is left when they
// are gone. 9,000 of them with DUPLEXITY_TEST_FULL=1.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { IS_FULL } from "../support/bars.ts";
import { startCrowd } from "../support/crowd.ts";
import { startServer } from "../support/duplexity.ts";
import { INSPECT_ARGS, memoryAfterGc } from "../support/inspect.ts";
import { countDescriptors, cpuMs, residentMiB } from "../support/memory.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const CLIENTS = IS_FULL ? 9_000 : 500;
const IDLE_MS = IS_FULL ? 30_000 : 3_000;
/** More than a client ever cost in the benchmark (20 KB): twice that. */
const MAX_KIB_EACH = 40;
const MAX_LEFT = { heapMiB: 4, externalMiB: 2, descriptors: 4, timers: 4 };
const GONE_LIMIT_MS = 90_000;

describe(`${CLIENTS} clients that do nothing`, () => {
  it("cost little each, and leave nothing behind when they go", async () => {
    const room = ["--max-clients", "20000", "--max-clients-per-owner", "20000", "--max-pipes-per-owner", "20000"];
    const { process, url } = await startServer(stage, {
      args: [...room, "--log-level", "warn"],
      nodeArgs: INSPECT_ARGS,
    });
    const held = async () => {
      const { heapMiB, externalMiB, resources } = await memoryAfterGc(process);
      const [resident, descriptors] = await Promise.all([residentMiB(process.pid), countDescriptors(process.pid)]);
      return { heapMiB, externalMiB, resident, descriptors, timers: resources.Timeout ?? 0 };
    };
    const crowdOf = (prefix: string) =>
      startCrowd(stage, { server: url, target: "9", prefix, count: CLIENTS, limitMs: 400_000 });
    // Once before: what exists once, and what V8 keeps once it had it, is not a client's.
    await (await crowdOf("warm")).leave();
    const warm = await poll(
      async () => {
        const found = await held();
        return found.descriptors < CLIENTS / 10 ? found : null;
      },
      GONE_LIMIT_MS,
      "the first ones to be gone",
      500,
    );
    const crowd = await crowdOf("idle");
    const full = await held();
    const cpuBefore = await cpuMs(process.pid);
    const begunAt = performance.now();
    await delay(IDLE_MS);
    const share = ((await cpuMs(process.pid)) - cpuBefore) / (performance.now() - begunAt);
    await crowd.leave();
    let left = full;
    await poll(
      async () => {
        left = await held();
        return (
          left.descriptors <= warm.descriptors + MAX_LEFT.descriptors &&
          left.timers <= warm.timers + MAX_LEFT.timers &&
          left.heapMiB <= warm.heapMiB + MAX_LEFT.heapMiB &&
          left.externalMiB <= warm.externalMiB + MAX_LEFT.externalMiB
        );
      },
      GONE_LIMIT_MS,
      "the memory of the warm baseline",
      500,
    ).finally(() => console.log("capacity:", { clients: CLIENTS, warm, full, left, cpuShare: share }));
    const kibEach = ((full.heapMiB + full.externalMiB - warm.heapMiB - warm.externalMiB) * 1_024) / CLIENTS;
    const residentKibEach = ((full.resident - warm.resident) * 1_024) / CLIENTS;
    console.log("capacity, a client:", { kibEach, residentKibEach });
    expect(kibEach).toBeLessThan(MAX_KIB_EACH);
    expect(crowd.news.filter(({ type }) => type !== "closed" && type !== "draining")).toEqual([]);
  }, 1_200_000);
});
