// A node that has as many clients as it should, as real processes: it sends others to the nodes that have less to do.

import { describe, expect, it } from "vitest";
import { startCrowd } from "../support/crowd.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { readMetrics } from "../support/metrics.ts";
import { startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

describe("A node with nine tenths of its clients", () => {
  it("sends those who come to it to nodes with less to do, is offered to nobody, and keeps what it has", async () => {
    const nodes = await startNodes(stage, { args: ["--max-clients", "20"] });
    const [full, ...others] = nodes.servers;
    if (full === undefined) throw new Error("There is no node");
    const figure = async (name: string, { internalPort } = full) =>
      (await readMetrics(internalPort)).get(`duplexity_${name}`) ?? Number.NaN;
    const origin = await startHttpOrigin(stage);
    const more = { server: full.url, target: origin.target, token: ADMIN_TOKEN, links: 1 } as const;
    const first = await startCrowd(stage, { ...more, prefix: "cat", count: 18 });
    await poll(async () => (await figure("load")) === 1, 5_000, "the full node to be busy");
    const late = await startCrowd(stage, { ...more, prefix: "dog", count: 10 });
    expect(await figure("clients")).toBe(18);
    const elsewhere = await Promise.all(others.map((server) => figure("clients", server)));
    expect(elsewhere.reduce((sum, clients) => sum + clients, 0)).toBe(10);
    for (const name of [first.names[0], late.names[0], late.names.at(-1)]) {
      for (const { port } of nodes.servers) {
        expect((await visit(port, `${name}.localhost`, "/hello")).status).toBe(200);
      }
    }
    // With room again it takes clients again.
    await first.leave();
    await poll(async () => (await figure("load")) === 0, 5_000, "the node to be busy no more");
    await startCrowd(stage, { ...more, prefix: "fox", count: 2 });
    expect(await figure("clients")).toBe(2);
    expect(first.news.filter(({ type }) => type !== "closed")).toEqual([]);
  });
});
