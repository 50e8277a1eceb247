// Nodes of a cluster that die at once: the one that has a client's link, or the one that its visitors are at, while bodies
// are on their way and numbered requests come. Says what arrived; judges nothing.

import { Readable } from "node:stream";
import { startUp } from "./duplexity.ts";
import { type HttpOrigin, startHttpOrigin } from "./http-origin.ts";
import { type LongStream, openLongStreams, untilTicked } from "./long-streams.ts";
import { readMetrics } from "./metrics.ts";
import { holderOf, type Nodes } from "./nodes.ts";
import { ADMIN_TOKEN } from "./people.ts";
import { type LoadReport, RequestLoad } from "./request-load.ts";
import { seededChunks, seededSha256 } from "./seeded.ts";
import type { Stage } from "./stage.ts";
import { digestOf, openVisit, visit } from "./visitor.ts";
import { poll } from "./wait.ts";

const HOSTNAME = "cat1.localhost";
const SEEDS = { down: 3, up: 4 } as const;
const LINKS_MS = 10_000;
/** How long the target takes for a numbered request: so that some have reached it and are not answered yet at any time. */
const POST_MS = 200;
/** A gigabyte on a machine that does ten things at once. */
const BODY_MS = 300_000;

/** What went over while a hub was killed. */
export interface HubKill {
  readonly download: { readonly bytes: number; readonly sha256: string };
  readonly upload: { readonly bytes: number; readonly sha256: string };
  readonly wanted: { readonly download: string; readonly upload: string };
  readonly posts: LoadReport;
  /** Of each number, how often it reached the target: the highest. */
  readonly mostArrivals: number;
}

export interface ProxyKill {
  readonly requests: LoadReport;
  readonly posts: LoadReport;
  readonly mostArrivals: number;
  readonly killedAt: number;
  /** When the balancer counted it as down. */
  readonly downAt: number;
  /** Streams that were open when it was killed: those through it, and the others, which live. */
  readonly through: readonly LongStream[];
  readonly others: readonly LongStream[];
}

/** Kills the hub that is registered for a client, when a quarter of a download and of an upload of `size` has gone over. */
export async function killHub(
  stage: Stage,
  nodes: Nodes,
  options: { readonly size: number; readonly links: 1 | 2 },
): Promise<HubKill> {
  const { size, links } = options;
  const origin = await startClient(stage, nodes, links);
  const holder = await holderOf(nodes, HOSTNAME);
  const port = nodes.servers[await nodeWithoutLink(nodes, links)]?.port ?? 0;
  const posts = startPosts(port);
  const sent = { down: 0, up: 0 };
  const answer = await openVisit(port, HOSTNAME, `/bytes/${size}?seed=${SEEDS.down}`);
  answer.on("data", (chunk: Buffer) => {
    sent.down += chunk.length;
  });
  const download = digestOf(answer);
  const body = Readable.from(
    counted(seededChunks(SEEDS.up, size), (bytes) => {
      sent.up += bytes;
    }),
  );
  const headers = { "content-length": size };
  const upload = visit(port, HOSTNAME, "/sha256", { method: "POST", headers, body, limitMs: BODY_MS });
  await poll(() => Math.min(sent.down, sent.up) >= size / 4, BODY_MS, "a quarter of both bodies", 5);
  nodes.servers[holder]?.process.kill("SIGKILL");
  const [came, arrived] = await Promise.all([download, upload]);
  return {
    download: came,
    upload: JSON.parse(arrived.body),
    wanted: { download: seededSha256(SEEDS.down, size), upload: seededSha256(SEEDS.up, size) },
    posts: await posts.stop(),
    mostArrivals: mostOf(origin),
  };
}

/** Kills a node that visitors are at; `hasLink`: the one that is registered for the client, else one without its link. */
export async function killProxy(
  stage: Stage,
  nodes: Nodes,
  options: {
    readonly links: 1 | 2;
    readonly hasLink: boolean;
    /** Event streams at each node, and as many WebSockets. */
    readonly streams: number;
  },
): Promise<ProxyKill> {
  const { links, hasLink, streams } = options;
  const origin = await startClient(stage, nodes, links);
  const victim = hasLink ? await holderOf(nodes, HOSTNAME) : await nodeWithoutLink(nodes, links);
  const atNodes = nodes.proxies.map(async (node) => {
    const port = nodes.servers[node]?.port ?? 0;
    return openLongStreams(stage, { port, hostname: HOSTNAME, count: streams, node });
  });
  const open = (await Promise.all(atNodes)).flat();
  const requests = new RequestLoad({ port: nodes.port, hostname: HOSTNAME, perSecond: 100 });
  const posts = startPosts(nodes.port);
  await untilTicked(open);
  const through = open.filter(({ node }) => node === victim);
  const others = open.filter(({ node }) => node !== victim);
  const killedAt = performance.now();
  nodes.servers[victim]?.process.kill("SIGKILL");
  await nodes.untilUp(victim, false);
  const downAt = performance.now();
  await untilTicked(others);
  return {
    ...{ killedAt, downAt, through, others },
    requests: await requests.stop(),
    posts: await posts.stop(),
    mostArrivals: mostOf(origin),
  };
}

async function startClient(stage: Stage, nodes: Nodes, links: 1 | 2): Promise<HttpOrigin> {
  const origin = await startHttpOrigin(stage, "hello");
  const env = { DUPLEXITY_TOKEN: ADMIN_TOKEN };
  await startUp(stage, nodes.url, [`cat1:${origin.target}`], { env, args: ["--links", String(links)] });
  return origin;
}

/** A node for visitors over which no link of the only client goes, once all its links are there. */
async function nodeWithoutLink(nodes: Nodes, links: number): Promise<number> {
  return poll(
    async () => {
      const counts = await Promise.all(
        nodes.servers.map(async ({ internalPort }, number) =>
          nodes.hubs.includes(number) ? ((await readMetrics(internalPort)).get("duplexity_links") ?? 0) : 0,
        ),
      );
      if (counts.reduce((sum, count) => sum + count, 0) < links) return null;
      return nodes.proxies.find((number) => counts[number] === 0) ?? null;
    },
    LINKS_MS,
    `${links} links, and a node without one`,
  );
}

/** Numbered requests that must not reach the target twice. */
function startPosts(port: number): RequestLoad {
  const path = (number: number): string => `/count?id=${number}&after=${POST_MS}`;
  const request = (number: number) => ({ path: path(number), method: "POST", body: String(number) });
  return new RequestLoad({ port, hostname: HOSTNAME, perSecond: 50, request });
}

function mostOf({ counts }: HttpOrigin): number {
  return Math.max(0, ...counts.values());
}

function* counted(chunks: Iterable<Buffer>, onBytes: (bytes: number) => void): Generator<Buffer> {
  for (const chunk of chunks) {
    onBytes(chunk.length);
    yield chunk;
  }
}
