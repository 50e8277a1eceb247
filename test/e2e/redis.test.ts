// What a cluster does while its Redis hangs or has died: what is live is served on, what needs Redis says so soon.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { spawnUp, startUp } from "../support/duplexity.ts";
import { LEASE_MS } from "../support/fault-world.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { type Nodes, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { redisCli, startRedisServer } from "../support/redis.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();
const ADMIN = { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } };
const HANG_MS = 10_000;
/** A call to Redis is given up after 800 ms; the rest is the start of a process. */
const SOON_MS = 3_000;
const ANSWER_MS = 2_000;

/** What visitors of `names` got, at each node in turn, while `during` went on. */
async function statusesWhile(nodes: Nodes, names: readonly string[], during: Promise<unknown>): Promise<Set<string>> {
  const statuses = new Set<string>();
  let isOver = false;
  void during.finally(() => {
    isOver = true;
  });
  for (let turn = 0; !isOver; turn += 1) {
    const port = nodes.servers[turn % nodes.servers.length]?.port ?? 0;
    for (const name of names) {
      const answer = visit(port, `${name}.localhost`, "/hello", { limitMs: ANSWER_MS });
      statuses.add(
        await answer.then(
          ({ status }) => String(status),
          (error: unknown) => String(error),
        ),
      );
    }
    await delay(50);
  }
  return statuses;
}

/** Refused with DPX_STORE, or told so while it tries on. */
async function saysStore(nodes: Nodes, name: string, target: string): Promise<void> {
  const process = await spawnUp(stage, nodes.url, [`${name}:${target}`], ADMIN);
  await process.untilPrinted("DPX_STORE", SOON_MS);
  await process.end();
}

describe("A cluster whose Redis hangs", () => {
  it("serves what is live, refuses what is new, and is well soon after", async () => {
    const nodes = await startNodes(stage);
    const origin = await startHttpOrigin(stage, "hello");
    const live = ["cat1", "cat2"];
    for (const name of live) await startUp(stage, nodes.url, [`${name}:${origin.target}`], ADMIN);
    // Each node has seen each name.
    for (const { port } of nodes.servers) for (const name of live) await visit(port, `${name}.localhost`, "/hello");
    nodes.redis.signal("SIGSTOP");
    const hang = delay(HANG_MS);
    const statuses = statusesWhile(nodes, live, hang);
    await saysStore(nodes, "cat3", origin.target);
    const asked = performance.now();
    await expect(nodes.admin("/api/kick", { who: "cat1" }, 0)).rejects.toThrow("DPX_STORE");
    expect(performance.now() - asked).toBeLessThan(ANSWER_MS);
    expect(await statuses).toEqual(new Set(["200"]));
    nodes.redis.signal("SIGCONT");
    await within(startUp(stage, nodes.url, [`cat3:${origin.target}`], ADMIN), LEASE_MS, "a new name");
    for (const name of [...live, "cat3"]) {
      expect((await visit(nodes.port, `${name}.localhost`, "/hello")).status).toBe(200);
    }
  });

  it("serves on while Redis is killed, and has its names in the new one within a lease", async () => {
    const nodes = await startNodes(stage);
    const origin = await startHttpOrigin(stage, "hello");
    const live = ["cat1", "cat2"];
    for (const name of live) await startUp(stage, nodes.url, [`${name}:${origin.target}`], ADMIN);
    for (const { port } of nodes.servers) for (const name of live) await visit(port, `${name}.localhost`, "/hello");
    const isRegistered = async (name: string): Promise<boolean> =>
      (await redisCli(nodes.redisPort, ["KEYS", `duplexity:{*}:name:${name}.localhost`])) !== "";
    const again = (async () => {
      await nodes.redis.end();
      await startRedisServer(stage, { port: nodes.redisPort });
      for (const name of live) await poll(() => isRegistered(name), LEASE_MS, `${name} to be registered again`);
    })();
    expect(await statusesWhile(nodes, live, again)).toEqual(new Set(["200"]));
    await again;
  });
});
