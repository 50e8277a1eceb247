// What a cluster does while its Redis hangs or has died: what is live is served on, what needs Redis says so soon.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { barMs, IS_FULL } from "../support/bars.ts";
import { spawnDuplexity, spawnUp, startUp } from "../support/duplexity.ts";
import { LEASE_MS } from "../support/fault-world.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { CLUSTERS, type Nodes, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { redisCli, startRedisServer } from "../support/redis.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();
const ADMIN = { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } };
const HANG_MS = 10_000;
/** In which a command has its error, besides what it takes on a cluster that is well. */
const ERROR_MS = barMs(1_000);
/** Commands that are measured: the fastest counts, since this machine has other work too. */
const TRIES = 3;
/** A probe looks each second and waits for a second. */
const READY_MS = barMs(5_000);
const SOON_MS = barMs(3_000);
const ANSWER_MS = barMs(2_000);

/** What visitors of `names` got, at each node in turn, while `during` went on. */
async function statusesWhile(nodes: Nodes, names: readonly string[], during: Promise<unknown>): Promise<Set<string>> {
  const statuses = new Set<string>();
  let isOver = false;
  const end = () => {
    isOver = true;
  };
  during.then(end, end);
  for (let turn = 0; !isOver; turn += 1) {
    const port = nodes.servers[nodes.proxies[turn % nodes.proxies.length] ?? 0]?.port ?? 0;
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

/** So that each node that takes visitors has seen each name. */
async function visitEach({ servers, proxies }: Nodes, names: readonly string[]): Promise<void> {
  for (const number of proxies) {
    for (const name of names) await visit(servers[number]?.port ?? 0, `${name}.localhost`, "/hello");
  }
}

/** Refused with DPX_STORE, or told so while it tries on. */
async function saysStore(nodes: Nodes, name: string, target: string): Promise<void> {
  const process = await spawnUp(stage, nodes.url, [`${name}:${target}`], ADMIN);
  await process.untilPrinted("DPX_STORE", SOON_MS);
  await process.end();
}

/** Milliseconds until `run` has done it, the least of some tries. */
async function fastest(run: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let count = 0; count < TRIES; count += 1) {
    const began = performance.now();
    await run();
    best = Math.min(best, performance.now() - began);
  }
  return Math.round(best);
}

async function isReady(internalPort: number): Promise<boolean> {
  const { status } = await fetch(`http://127.0.0.1:${internalPort}/readyz`);
  return status === 200;
}

/** Takes Redis away from every node; what is answered brings it back. */
const OUTAGES: Record<string, (nodes: Nodes) => Promise<() => unknown>> = {
  stopped: async ({ redis }) => {
    redis.signal("SIGSTOP");
    return () => redis.signal("SIGCONT");
  },
  killed: async ({ redis, redisPort }) => {
    await redis.end();
    return () => startRedisServer(stage, { port: redisPort });
  },
  "cut off": async ({ wires, backends }) => {
    for (const number of backends) wires[number]?.store.blackhole(true);
    return () => {
      for (const number of backends) wires[number]?.store.heal();
    };
  },
};

/** `npm test` has time for one of them. */
const OUT_OF_REDIS = CLUSTERS.filter(({ isSplit }) => IS_FULL || !isSplit);

describe.each(OUT_OF_REDIS)("$cluster whose Redis is gone", ({ cluster, roles }) => {
  it.each(Object.entries(OUTAGES))("say so within a second when it is %s, and are not ready", async (what, begin) => {
    const nodes = await startNodes(stage, { roles, hasWires: true });
    const origin = await startHttpOrigin(stage, "hello");
    await startUp(stage, nodes.url, [`cat1:${origin.target}`], ADMIN);
    const up = async (until: string): Promise<void> => {
      const process = await spawnUp(stage, nodes.url, [`dog1:${origin.target}`], ADMIN);
      await process.untilPrinted(until);
      await process.end();
    };
    const wellMs = await fastest(() => up('"ready"'));
    const end = await begin(nodes);
    const refusedMs = await fastest(() => up("DPX_STORE"));
    const kickMs = await fastest(() =>
      expect(nodes.admin("/api/kick", { who: "cat1" }, 0)).rejects.toThrow("DPX_STORE"),
    );
    console.log(
      `${cluster}, Redis is ${what}: up is refused after ${refusedMs} ms (well: ${wellMs} ms), a kick after ${kickMs} ms`,
    );
    expect(refusedMs).toBeLessThan(wellMs + ERROR_MS);
    expect(kickMs).toBeLessThan(ERROR_MS);
    for (const { internalPort } of nodes.servers) {
      await poll(async () => !(await isReady(internalPort)), READY_MS, "a node that is not ready");
    }
    await end();
    for (const { internalPort } of nodes.servers) await poll(() => isReady(internalPort), READY_MS, "a ready node");
    await within(up('"ready"'), LEASE_MS, "a new name");
  });
});

describe("A node whose Redis is gone", () => {
  it("comes up with its Redis when it is started before it", async () => {
    const redisPort = await freePort();
    const secret = join(await stage.folder("secret"), "cluster-secret");
    await writeFile(secret, "cluster-secret-0123456789abcdef\n", { mode: 0o600 });
    const [port, internalPort] = [await freePort(), await freePort()];
    const listen = ["--listen", `127.0.0.1:${port}`, "--internal-listen", `127.0.0.1:${internalPort}`];
    const shared = ["--redis", `redis://127.0.0.1:${redisPort}`, "--cluster-secret-file", secret];
    const process = await spawnDuplexity(stage, ["serve", "--json", ...listen, ...shared]);
    await process.untilPrinted("; this node tries again for 60 s, and takes no work before");
    await expect(fetch(`http://127.0.0.1:${internalPort}/readyz`)).rejects.toThrow("fetch failed");
    await startRedisServer(stage, { port: redisPort });
    await process.nextLine("listening");
    await poll(() => isReady(internalPort), READY_MS, "a ready node");
  });

  it("ends at a signal while it waits for its Redis", async () => {
    const args = ["serve", "--json", "--redis", `redis://127.0.0.1:${await freePort()}`, "--listen", "127.0.0.1:0"];
    const process = await spawnDuplexity(stage, args);
    await process.untilPrinted("this node tries again");
    process.kill("SIGTERM");
    expect(await process.exited(READY_MS)).toMatchObject({ status: 130 });
  });
});

describe.each(CLUSTERS)("$cluster whose Redis hangs", ({ roles }) => {
  it("serve what is live, refuse what is new, and are well soon after", async () => {
    const nodes = await startNodes(stage, { roles });
    const origin = await startHttpOrigin(stage, "hello");
    const live = ["cat1", "cat2"];
    for (const name of live) await startUp(stage, nodes.url, [`${name}:${origin.target}`], ADMIN);
    await visitEach(nodes, live);
    nodes.redis.signal("SIGSTOP");
    const hang = (async () => {
      await saysStore(nodes, "cat3", origin.target);
      const asked = performance.now();
      await expect(nodes.admin("/api/kick", { who: "cat1" }, 0)).rejects.toThrow("DPX_STORE");
      expect(performance.now() - asked).toBeLessThan(ANSWER_MS);
      for (const { internalPort } of nodes.servers) {
        await poll(async () => !(await isReady(internalPort)), READY_MS, "a node that is not ready");
      }
      if (IS_FULL) await delay(HANG_MS);
    })();
    expect(await statusesWhile(nodes, live, hang)).toEqual(new Set(["200"]));
    await hang;
    nodes.redis.signal("SIGCONT");
    await within(startUp(stage, nodes.url, [`cat3:${origin.target}`], ADMIN), LEASE_MS, "a new name");
    for (const name of [...live, "cat3"]) {
      expect((await visit(nodes.port, `${name}.localhost`, "/hello")).status).toBe(200);
    }
  });

  it("serve on while Redis is killed, and have its names in the new one within a lease", async () => {
    const nodes = await startNodes(stage, { roles });
    const origin = await startHttpOrigin(stage, "hello");
    const live = ["cat1", "cat2"];
    for (const name of live) await startUp(stage, nodes.url, [`${name}:${origin.target}`], ADMIN);
    await visitEach(nodes, live);
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
