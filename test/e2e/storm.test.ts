// Hundreds of clients at a node that is killed (thousands with DUPLEXITY_TEST_FULL=1): they come to the other nodes spread over
// time, and visitors of their names and of others are served meanwhile.

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { IS_FULL } from "../support/bars.ts";
import { type Crowd, type CrowdNews, startCrowd } from "../support/crowd.ts";
import { startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { readMetrics } from "../support/metrics.ts";
import { type Nodes, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { p99, startVisitors, type Visitors } from "../support/visitors.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const CLIENTS = IS_FULL ? 5_000 : 200;
/** Clients that were at each node before. */
const WARM_CLIENTS = 500;
/** Names that are visited at the moment of the death. */
const HELD = 20;
/** A visitor comes so often to a name whose client is at another node. */
const VISIT_EVERY_MS = 20;
const CALM_MS = 10_000;
const BACK_LIMIT_MS = IS_FULL ? 180_000 : 60_000;
const BUCKET_MS = 100;
/** Each look is a scrape of /metrics, which costs a node some ms: who does it each second measures himself. */
const LOOK_EVERY_MS = IS_FULL ? 3_000 : 1_000;
/** Of those that come, in a tenth of a second: of thousands, 1 in 250 should. Few come at once where the machine is busy. */
const MAX_SHARE = 0.03;
const ROOM = ["--max-clients-per-owner", "20000", "--max-pipes-per-owner", "20000", "--max-clients", "20000"];

interface Storm {
  readonly nodes: Nodes;
  readonly crowd: Crowd;
  readonly visitors: Visitors;
}

async function start(links: 1 | 2): Promise<Storm> {
  const nodes = await startNodes(stage, { args: ROOM });
  const origin = await startHttpOrigin(stage);
  const env = { DUPLEXITY_TOKEN: ADMIN_TOKEN };
  const other = { url: nodes.servers[1]?.url ?? "", port: nodes.servers[1]?.port ?? 0 };
  const visitors = await startVisitors(stage, { port: other.port, host: "dog.localhost", everyMs: VISIT_EVERY_MS });
  if (IS_FULL) await warm(nodes, origin.target);
  // Of a name that has nothing to do with the node that dies.
  await startUp(stage, other.url, [`dog:${visitors.target}`], { env, args: ["--links", "1"] });
  const server = nodes.servers[0]?.url ?? "";
  const limitMs = 300_000;
  const crowd = await startCrowd(stage, {
    ...{ server, target: origin.target, prefix: "cat", count: CLIENTS, token: ADMIN_TOKEN, links, limitMs },
  });
  // A node that is scraped for the first time loads what that takes.
  await linksOf(nodes, 0);
  visitors.start();
  return { nodes, crowd, visitors };
}

/** Nodes that live have taken clients before: what does it is compiled. */
async function warm({ servers }: Nodes, target: string): Promise<void> {
  for (const [number, { url }] of servers.entries()) {
    const options = { server: url, target, prefix: `warm${number}`, count: WARM_CLIENTS, token: ADMIN_TOKEN };
    await (await startCrowd(stage, { ...options, links: 1 })).leave();
  }
}

interface Calm {
  readonly calmMs: number;
  /** While others want as much of the machine as the crowd will: nodes, visitors and clients share its cores here. */
  readonly busyMs: number;
}

/** What visits take before the storm, as their 99th percentile; only where that is a figure to go by. */
async function measure(visitors: Visitors): Promise<Calm | null> {
  if (!IS_FULL) return null;
  const calmMs = await p99Of(visitors, CALM_MS);
  const busy = Array.from({ length: availableParallelism() }, () => {
    const child = spawn("nice", ["-n", "19", process.execPath, "-e", "for(;;);"]);
    stage.defer(() => void child.kill("SIGKILL"));
    return child;
  });
  const busyMs = await p99Of(visitors, CALM_MS);
  for (const child of busy) child.kill("SIGKILL");
  return { calmMs, busyMs };
}

/** Of what comes from now on. */
async function p99Of({ visits }: Visitors, forMs: number): Promise<number> {
  const from = Date.now();
  await delay(forMs);
  return p99(visits, from, Date.now());
}

/** All links that there are; without those at the first node once that is dead. */
async function linksOf(nodes: Nodes, from: 0 | 1): Promise<number> {
  const metrics = nodes.servers.slice(from).map(({ internalPort }) => readMetrics(internalPort));
  return (await Promise.all(metrics)).reduce((sum, metrics) => sum + (metrics.get("duplexity_links") ?? 0), 0);
}

/** How often clients have lost what they had, or have not been taken, by the reason. */
function codesOf(news: readonly CrowdNews[]): Readonly<Record<string, number>> {
  const codes: Record<string, number> = {};
  for (const { type, code } of news) if (type === "reconnecting") codes[code] = (codes[code] ?? 0) + 1;
  return codes;
}

/** When each was up again, if all that had lost their node are. */
function allBack({ news }: Crowd): readonly number[] | null {
  const ups = new Map(news.filter(({ type }) => type === "up").map(({ name, at }) => [name, at]));
  const lost = new Set(news.filter(({ type }) => type === "reconnecting").map(({ name }) => name));
  return [...lost].every((name) => ups.has(name)) ? [...ups.values()] : null;
}

/** The largest share of `times` that falls into one bucket. */
function largestShare(times: readonly number[]): number {
  const buckets = new Map<number, number>();
  for (const at of times) {
    const bucket = Math.floor(at / BUCKET_MS);
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  }
  return Math.max(0, ...buckets.values()) / times.length;
}

describe(`The death of a node with ${CLIENTS} clients`, () => {
  it("brings those with one link to the others each at its turn, and every request waits for them", async () => {
    const { nodes, crowd, visitors } = await start(1);
    const calm = await measure(visitors);
    const killedAt = Date.now();
    nodes.servers[0]?.process.kill("SIGKILL");
    const port = nodes.servers[2]?.port ?? 0;
    const held = crowd.names.slice(0, HELD).map((name) => visit(port, `${name}.localhost`, "/hello"));
    const backs = await poll(
      async () => {
        // A look costs the nodes something. And a node that was busy when they came has sent some elsewhere: those lose nothing.
        if (allBack(crowd) === null || (await linksOf(nodes, 1)) <= CLIENTS) return null;
        return allBack(crowd);
      },
      BACK_LIMIT_MS,
      "all clients to be back",
      LOOK_EVERY_MS,
    );
    const stormMs = p99(visitors.visits, killedAt, Date.now());
    await visitors.stop();
    // When each is due to dial for the first time after it has lost its node.
    const dials = new Map(
      crowd.news.filter(({ type, delayMs }) => type === "reconnecting" && delayMs > 0).map((one) => [one.name, one]),
    );
    const due = [...dials.values()].map(({ at, delayMs }) => at + delayMs - killedAt);
    const sorted = backs.map((at) => at - killedAt).sort((one, other) => one - other);
    console.log("storm, one link:", {
      ...{ clients: CLIENTS, lost: backs.length, due: largestShare(due), arrivals: largestShare(sorted) },
      ...{
        firstMs: sorted[0],
        medianMs: sorted[Math.floor(sorted.length / 2)],
        lastMs: sorted.at(-1),
        ...calm,
        stormMs,
      },
      codes: codesOf(crowd.news),
    });
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual(Array(HELD).fill(200));
    expect(visitors.failures).toEqual([]);
    if (IS_FULL) expect(largestShare(due)).toBeLessThan(MAX_SHARE);
  }, 600_000);

  it("is not known to those with a second link, who come back over seconds", async () => {
    const { nodes, crowd, visitors } = await start(2);
    // Each has its second link.
    await poll(async () => (await linksOf(nodes, 0)) >= 2 * CLIENTS + 1, BACK_LIMIT_MS, "the second links", 500);
    const calm = await measure(visitors);
    const killedAt = Date.now();
    nodes.servers[0]?.process.kill("SIGKILL");
    const port = nodes.servers[2]?.port ?? 0;
    const held = crowd.names.slice(0, HELD).map((name) => visit(port, `${name}.localhost`, "/hello"));
    const looks: { readonly at: number; readonly links: number }[] = [];
    await poll(
      async () => {
        looks.push({ links: await linksOf(nodes, 1), at: performance.now() });
        return (looks.at(-1)?.links ?? 0) >= 2 * CLIENTS + 1;
      },
      BACK_LIMIT_MS,
      "two links of each client",
      LOOK_EVERY_MS,
    );
    const stormMs = p99(visitors.visits, killedAt, Date.now());
    await visitors.stop();
    await crowd.untilTold();
    const news = crowd.news.filter(({ at }) => at >= killedAt);
    const lost = new Set(news.map(({ name }) => name)).size;
    // Between two looks there may be more than a bucket.
    const shares = looks.slice(1).map(({ at, links }, index) => {
      const before = looks[index] ?? { at, links };
      return (links - before.links) / CLIENTS / Math.max(1, (at - before.at) / BUCKET_MS);
    });
    console.log("storm, two links:", {
      ...{ clients: CLIENTS, lost, arrivals: Math.max(...shares), ...calm, stormMs },
      ...{ lastMs: Date.now() - killedAt, codes: codesOf(news) },
    });
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual(Array(HELD).fill(200));
    expect(visitors.failures).toEqual([]);
    expect(lost).toBe(0);
    // On a machine that has no time for them they come late, and then together.
    if (IS_FULL) expect(Math.max(...shares)).toBeLessThan(MAX_SHARE);
  }, 600_000);
});
