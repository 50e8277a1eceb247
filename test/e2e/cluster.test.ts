// Three nodes as one: real processes, haproxy in front of them, one real Redis.

import { describe, expect, it } from "vitest";
import { type RunningUp, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { type Nodes, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";

const stage = useStage();
const ADMIN = { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } };

function up(nodes: Nodes, target: string, name = "cat1", args: readonly string[] = []): Promise<RunningUp> {
  return startUp(stage, nodes.url, [`${name}:${target}`], { ...ADMIN, args });
}

describe("Three nodes behind a load balancer", () => {
  it("serve a name at each of them, wherever its client is", async () => {
    const nodes = await startNodes(stage);
    const origin = await startHttpOrigin(stage, "hello");
    await up(nodes, origin.target);
    for (const { port } of nodes.servers) {
      expect(await visit(port, "cat1.localhost", "/hello")).toMatchObject({ status: 200, body: "hello" });
    }
    expect(await visit(nodes.port, "cat1.localhost", "/hello")).toMatchObject({ status: 200 });
  });

  it("take a client in whose two sockets come to different nodes, where nodes have no address of their own", async () => {
    const nodes = await startNodes(stage, { hasOwnAddresses: false });
    const origin = await startHttpOrigin(stage, "hello");
    for (let index = 0; index < 5; index += 1) await up(nodes, origin.target, `cat${index}`);
    for (let index = 0; index < 5; index += 1) {
      expect((await visit(nodes.port, `cat${index}.localhost`, "/hello")).status).toBe(200);
    }
  });
});
