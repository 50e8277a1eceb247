// A cluster on a Redis behind Sentinels whose primary dies before its replica had all: what was lost is put back, and no
// visitor sees any of it.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { spawnUp, startUp } from "../support/duplexity.ts";
import { LEASE_MS } from "../support/fault-world.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { isObject } from "../support/lines.ts";
import { type Nodes, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { redisCli, untilReplicated } from "../support/redis.ts";
import { startWatchedRedis } from "../support/redis-sentinel.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();
const OWNERS = ["ben", "eve"] as const;
/** As the registry says it at a node; null: it cannot say now. */
async function epochAt(internalPort: number, hostname: string): Promise<number | null> {
  const answer = await fetch(`http://127.0.0.1:${internalPort}/locate?hostname=${hostname}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  const body: unknown = await answer.json();
  return isObject(body) && isObject(body.record) ? Number(body.record.epoch) : null;
}

/** What visitors got and nodes said of epochs, at all nodes in turn, until it is stopped. */
function watch(nodes: Nodes, names: readonly string[]) {
  const answers = new Map<string, number>();
  /** In the order in which they were said, of each name at each node. */
  const epochs = new Map<string, number[]>();
  let isOver = false;
  const visiting = async (): Promise<void> => {
    for (let turn = 0; !isOver; turn += 1) {
      const server = nodes.servers[turn % nodes.servers.length];
      for (const name of names) {
        const { status, body } = await visit(server?.port ?? 0, `${name}.localhost`, "/hello", { limitMs: 10_000 });
        const key = `${name} ${status} ${body}`;
        answers.set(key, (answers.get(key) ?? 0) + 1);
      }
    }
  };
  const looking = async (): Promise<void> => {
    while (!isOver) {
      for (const [number, { internalPort }] of nodes.servers.entries()) {
        for (const name of names) {
          const epoch = await epochAt(internalPort, `${name}.localhost`);
          const key = `${name} ${number}`;
          if (epoch !== null) epochs.set(key, [...(epochs.get(key) ?? []), epoch]);
        }
      }
      await delay(50);
    }
  };
  const work = Promise.all([visiting(), visiting(), looking()]);
  // Whoever stops it hears of it; a test that failed before that has its reason.
  work.catch(() => {});
  return {
    stop: async () => {
      isOver = true;
      await work;
      return { answers, epochs };
    },
  };
}

describe("A cluster whose Redis fails over and loses writes", () => {
  it("serves on, goes back to no epoch, and gives nobody's name away", async () => {
    const watched = await startWatchedRedis(stage);
    const nodes = await startNodes(stage, { watched });
    const tokens = new Map<string, { env: { DUPLEXITY_TOKEN: string } }>();
    for (const name of OWNERS) {
      // Of one node: another one hears of the user a moment later.
      await nodes.admin("/api/users", { name }, 0);
      const { secret } = await nodes.admin("/api/tokens", { name: "ci", user: name }, 0);
      tokens.set(name, { env: { DUPLEXITY_TOKEN: String(secret) } });
    }
    const [old, next] = [await startHttpOrigin(stage, "old"), await startHttpOrigin(stage, "next")];
    const [ben, eve] = OWNERS.map((name) => tokens.get(name) ?? {});
    const before = await startUp(stage, nodes.url, [`cat1:${old.target}`], ben);
    await untilReplicated(watched.primary.port);
    // From here on nothing reaches the replica: a takeover and a new name.
    watched.replica.signal("SIGSTOP");
    await startUp(stage, nodes.url, [`cat1:${next.target}`], ben);
    expect(await before.process.exited()).toMatchObject({ status: 5 });
    await startUp(stage, nodes.url, [`cat2:${next.target}`], ben);
    const names = ["cat1", "cat2"];
    for (const { port } of nodes.servers) {
      for (const name of names) {
        const isNext = async (): Promise<boolean> => (await visit(port, `${name}.localhost`, "/hello")).body === "next";
        await poll(isNext, 10_000, `${name} at ${port}`);
      }
    }
    const watching = watch(nodes, names);
    await watched.primary.end();
    watched.replica.signal("SIGCONT");
    const diedAt = performance.now();
    // A Redis that is promoted closes its clients' connections.
    const ofReplica = (args: readonly string[]): Promise<string> =>
      redisCli(watched.replica.port, args).catch(() => "");
    const isPrimary = async (): Promise<boolean> => (await ofReplica(["ROLE"])).startsWith("master");
    await poll(isPrimary, LEASE_MS, "the replica to be promoted");
    const promotedAt = performance.now();
    const thief = await spawnUp(stage, nodes.url, [`cat2:${old.target}`], eve);
    await thief.untilPrinted('"error"', LEASE_MS);
    const healed = async (): Promise<boolean> => {
      const known = await ofReplica(["--raw", "EVAL", NAMES_SCRIPT, "0"]);
      return names.every((name) => known.includes(`name:${name}.localhost`));
    };
    await poll(healed, LEASE_MS, "the names in the new primary");
    const healedMs = Math.round(performance.now() - promotedAt);
    const isMine = async (): Promise<boolean> => {
      const up = await spawnUp(stage, nodes.url, [`cat3:${next.target}`], ben);
      const isUp = await up.untilPrinted('"ready"').then(
        () => true,
        () => false,
      );
      await up.end();
      return isUp;
    };
    await within(poll(isMine, LEASE_MS, "a new name", 500), LEASE_MS, "a new name");
    const newMs = Math.round(performance.now() - promotedAt);
    const { answers, epochs } = await watching.stop();
    console.log(
      `Failover took ${Math.round(promotedAt - diedAt)} ms; names were back ${healedMs} ms after it, new ones taken ${newMs} ms after it; ${JSON.stringify([...answers])}`,
    );
    expect(new Set(answers.keys())).toEqual(new Set(names.map((name) => `${name} 200 next`)));
    expect(epochs.size).toBe(names.length * nodes.servers.length);
    for (const [key, seen] of epochs) expect(seen, key).toEqual([...seen].sort((one, other) => one - other));
    expect(thief.stdout).toMatch(/DPX_(STORE|NAME_TAKEN)/);
  });
});

const NAMES_SCRIPT = `return table.concat(redis.call("KEYS", "*:name:*"), " ")`;
