// One name, and everybody who wants it at the same moment, at each node of a cluster.

import { describe, expect, it } from "vitest";
import { IS_FULL } from "../support/bars.ts";
import { isObject } from "../support/lines.ts";
import { startClaimers } from "../support/name-claims.ts";
import { CLUSTERS, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";

const stage = useStage();
const CLAIMS = IS_FULL ? 1_000 : 90;

/** The client that the registry has, as one node sees it. */
async function registeredClient(internalPort: number): Promise<unknown> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const answer = await fetch(`http://127.0.0.1:${internalPort}/locate?hostname=cat1.localhost`, { headers });
  const body: unknown = await answer.json();
  return isObject(body) && isObject(body.record) ? body.record.clientId : null;
}

describe.each(CLUSTERS)("A name that many owners claim at once at $cluster", ({ cluster, roles }) => {
  it("has one owner, and again one when that one leaves meanwhile; all others are told that it is taken", async () => {
    const nodes = await startNodes(stage, { roles, args: ["--name-grace", "0s"] });
    const claimers = await startClaimers(stage, nodes, { name: "cat1", count: CLAIMS });
    for (const leaves of [false, true, true]) {
      const claims = await claimers.round({ leaves });
      const owners = claims.filter(({ result }) => result === "up");
      const others = claims.filter(({ result }) => result !== "up");
      console.log(
        `${cluster}, ${CLAIMS} claims${leaves ? " while the owner leaves" : ""}: ${owners.length} owner, the slowest answer after`,
        `${Math.max(...claims.map(({ ms }) => ms))} ms`,
      );
      expect(owners).toHaveLength(1);
      expect(new Set(others.map(({ result }) => result))).toEqual(new Set(["DPX_NAME_TAKEN"]));
      for (const { internalPort } of nodes.servers) {
        expect(await registeredClient(internalPort)).toBe(owners[0]?.clientId);
      }
      for (const number of nodes.proxies) {
        const port = nodes.servers[number]?.port ?? 0;
        expect((await visit(port, "cat1.localhost", "/hello")).status).toBe(200);
      }
    }
    // Nobody but those who left.
    expect(claimers.ended).toBe(2);
  });
});
