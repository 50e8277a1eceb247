// Nodes of a cluster that are killed: what a client or a visitor at another node has under way goes on.

import { describe, expect, it } from "vitest";
import { barMs, IS_FULL } from "../support/bars.ts";
import { killHub, killProxy } from "../support/node-kills.ts";
import { CLUSTERS, startNodes } from "../support/nodes.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const SIZE = IS_FULL ? 1_073_741_824 : 134_217_728;
const STREAMS = IS_FULL ? 50 : 5;
const LINKS = [1, 2] as const;
/** Within this a name is served on. */
const SERVED_MS = barMs(1_000);
/** A client whose only link died with the node waits up to 0.9 s by chance before it dials another hub. */
const ONLY_LINK_MS = barMs(2_000);

describe.each(CLUSTERS)("kill -9 of the hub with a client's link, at $cluster", ({ cluster, roles, isSplit }) => {
  it.each(IS_FULL || !isSplit ? LINKS : [1 as const])(
    "leaves a download and an upload intact, and no POST comes twice, with links: %i",
    async (links) => {
      const nodes = await startNodes(stage, { roles });
      const { download, upload, wanted, posts, mostArrivals } = await killHub(stage, nodes, { size: SIZE, links });
      console.log(
        `${cluster}, hub killed, links ${links}: ${SIZE / 1_048_576} MiB each way; of ${posts.total} POSTs ${posts.failures.length}`,
        `failed, the slowest took ${posts.slowestMs.toFixed(0)} ms`,
      );
      expect(download).toEqual({ bytes: SIZE, sha256: wanted.download });
      expect(upload).toEqual({ bytes: SIZE, sha256: wanted.upload });
      expect(posts.failures).toEqual([]);
      expect(mostArrivals).toBe(1);
    },
  );
});

describe.each(CLUSTERS)("kill -9 of the node that visitors are at, at $cluster", ({ cluster, roles, isSplit }) => {
  // Where roles are split it is never one that has links.
  const cases = LINKS.flatMap((links) => (isSplit ? [false] : [false, true]).map((hasLink) => ({ links, hasLink })));
  it.each(cases)("breaks its connections only, and no POST comes twice: %o", async (options) => {
    const nodes = await startNodes(stage, { roles });
    const killed = await killProxy(stage, nodes, { ...options, streams: STREAMS });
    const { requests, posts, killedAt, downAt, through, others, mostArrivals } = killed;
    const firstAt = requests.firstAnswerAfter(killedAt) ?? Number.POSITIVE_INFINITY;
    console.log(
      `${cluster}, visitors' node killed, ${JSON.stringify(options)}: served ${(firstAt - killedAt).toFixed(0)} ms after it, out of`,
      `the balancer after ${(downAt - killedAt).toFixed(0)} ms; the slowest of ${requests.total} requests took`,
      `${requests.slowestMs.toFixed(0)} ms, ${requests.failures.length} failed; of ${posts.total} POSTs`,
      `${posts.failures.length}; ${through.length} streams were cut, ${others.length} live`,
    );
    for (const { failures } of [requests, posts]) {
      expect(failures.filter(({ sentAt }) => sentAt >= downAt)).toEqual([]);
    }
    expect(firstAt - killedAt).toBeLessThan(options.links === 1 && options.hasLink ? ONLY_LINK_MS : SERVED_MS);
    expect(mostArrivals).toBe(1);
    expect(through.length).toBeGreaterThan(0);
    expect(through.filter(({ endedAt }) => endedAt === null)).toEqual([]);
    expect(others.filter(({ endedAt, fault }) => endedAt !== null || fault !== null)).toEqual([]);
  });
});
