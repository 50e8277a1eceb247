// Kicks in a cluster: through any node, of a client at any other, also while the nodes hardly hear each other.

import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { barMs, IS_FULL } from "../support/bars.ts";
import { CROWD_ARGS, kickAll, startCrowd } from "../support/cluster-kicks.ts";
import { startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { readMetrics } from "../support/metrics.ts";
import { CLUSTERS, holderOf, type Nodes, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();
const ADMIN = { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } };
const CLIENTS = IS_FULL ? 1_000 : 60;
const CLIENTS_OF_DEAF_NODES = IS_FULL ? 60 : 6;
const LEASE_MS = 30_000;
const CUT_EVERY_MS = 250;
const HOSTNAME = "cat1.localhost";

/** `npm test` has time for one of them. */
const OF_DEAD_HUBS = CLUSTERS.filter(({ isSplit }) => IS_FULL || !isSplit);

/** How many clients each node has, those between two links included. */
function clientsOf(nodes: Nodes): Promise<number[]> {
  const counts = nodes.hubs.map(async (number) => {
    const metrics = await readMetrics(nodes.servers[number]?.internalPort ?? 0);
    return metrics.get("duplexity_clients") ?? 0;
  });
  return Promise.all(counts);
}

/** Whether it is, at one of these nodes. */
function isRegistered(nodes: Nodes, hostname: string): Promise<boolean> {
  return holderOf(nodes, hostname).then(
    () => true,
    () => false,
  );
}

/** Ends the connections over which nodes hear each other, each kind again and again until the test is over. */
const DEAFEN = {
  "to Redis": cutFromRedis,
  "to the backend": (nodes: Nodes): void => cutFromBackend(nodes),
  // Only what the backend tells them: the kick itself has to be written down.
  "to both": (nodes: Nodes): void => {
    cutFromRedis(nodes);
    cutFromBackend(nodes, "POST /node/events");
  },
} as const;

function cutFromBackend({ wires, backends }: Nodes, asking = ""): void {
  for (const [number, { store }] of wires.entries()) {
    if (!backends.includes(number)) stage.defer(store.cutEvery(CUT_EVERY_MS, asking));
  }
}

function cutFromRedis({ redisPort }: Nodes): void {
  const args = [
    "-h",
    "127.0.0.1",
    "-p",
    String(redisPort),
    "-r",
    "-1",
    "-i",
    "0.05",
    "CLIENT",
    "KILL",
    "TYPE",
    "pubsub",
  ];
  const child = spawn("redis-cli", args, { stdio: "ignore" });
  const gone = new Promise((resolve) => child.on("close", resolve));
  stage.defer(() => {
    child.kill("SIGKILL");
    return gone;
  });
}

describe.each(CLUSTERS)("kick at $cluster", ({ cluster, roles, isSplit }) => {
  it("ends a client at any node through any other, within a second, for good where it is banned", async () => {
    const nodes = await startNodes(stage, { roles, args: CROWD_ARGS });
    const crowd = await startCrowd(stage, nodes, CLIENTS);
    const spread = await clientsOf(nodes);
    const reports = await kickAll(nodes, crowd);
    const took = reports.map(({ acknowledgedMs }) => acknowledgedMs ?? Number.POSITIVE_INFINITY);
    const slowest = Math.max(...took);
    const median = took.sort((one, other) => one - other)[Math.floor(took.length / 2)];
    const slowestTold = Math.max(...reports.map(({ toldMs }) => toldMs));
    console.log(
      `${cluster}, ${reports.length} kicks of clients at nodes with ${spread.join(", ")}: acknowledged after ${median} ms, the slowest`,
      `after ${slowest} ms, and known to its client after ${slowestTold} ms`,
    );
    expect(Math.min(...spread)).toBeGreaterThan(0);
    expect(slowest).toBeLessThan(barMs(1_000));
    for (const { name, isBanned, clients, closed, tried } of reports) {
      // Who is back before the last hub has heard of the ban is found there, and told of the kick.
      expect(clients).toContainEqual(expect.objectContaining({ pipes: [`${name}.localhost`] }));
      expect([closed.code, closed.message]).toEqual(["DPX_KICKED", expect.stringContaining("too loud")]);
      const outcomes = isBanned ? ["DPX_BANNED", "DPX_KICKED"] : ["up"];
      expect([name, outcomes.includes(tried.result ?? "") ? "as it has to be" : tried]).toEqual([
        name,
        "as it has to be",
      ]);
    }
  });

  it.each(isSplit ? (["to Redis", "to the backend", "to both"] as const) : (["to Redis"] as const))(
    "ends a client within a lease while the connections over which nodes hear each other are killed in a loop: those %s",
    async (which) => {
      const nodes = await startNodes(stage, { roles, hasWires: true, args: CROWD_ARGS });
      const crowd = await startCrowd(stage, nodes, CLIENTS_OF_DEAF_NODES);
      DEAFEN[which](nodes);
      const reports = await kickAll(nodes, crowd);
      console.log(
        `${cluster}, ${reports.length} kicks between nodes that are deaf ${which}: acknowledged after`,
        reports.map(({ acknowledgedMs }) => acknowledgedMs ?? "never").join(", "),
        `ms, known after ${reports.map(({ toldMs }) => toldMs).join(", ")} ms`,
      );
      for (const { name, acknowledgedMs, toldMs, closed } of reports) {
        if (which === "to both") expect([name, acknowledgedMs]).toEqual([name, expect.any(Number)]);
        expect(closed.code).toMatch(/^DPX_(KICKED|BANNED)$/);
        expect(toldMs).toBeLessThan(LEASE_MS);
      }
      // Who is banned, and came back to a node that had not heard of it, was ended there before the kick was acknowledged, or
      // is at the next renewal.
      for (const { name, acknowledgedMs } of reports.filter(({ isBanned }) => isBanned)) {
        const isOut = async (): Promise<boolean> => !(await isRegistered(nodes, `${name}.localhost`));
        if (acknowledgedMs === null) await poll(isOut, LEASE_MS, `${name} to be out`);
        expect([name, await isOut()]).toEqual([name, true]);
      }
    },
    CLIENTS_OF_DEAF_NODES * LEASE_MS,
  );

  it("ends a sleeping client at both its hubs through a third", async () => {
    const nodes = await startNodes(stage, { roles });
    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, nodes.url, [`cat1:${origin.target}`], ADMIN);
    await poll(async () => (await clientsOf(nodes)).filter((count) => count > 0).length === 2, 10_000, "two links");
    const third = isSplit ? nodes.proxies[0] : (await clientsOf(nodes)).indexOf(0);
    up.process.kill("SIGSTOP");
    const kicked = await within(nodes.admin("/api/kick", { who: "cat1" }, third), 5_000, "the confirmation");
    expect(kicked.clients).toMatchObject([{ clientId: up.clientId }]);
    expect(new Set(await clientsOf(nodes))).toEqual(new Set([0]));
    expect((await visit(nodes.port, HOSTNAME, "/hello")).status).toBe(404);
    up.process.kill("SIGCONT");
    expect((await up.process.exited()).status).toBe(6);
    expect(up.process.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_KICKED" });
  });

  it("keeps a client that has not heard of its end out of every node", async () => {
    const heartbeat = ["--heartbeat-idle", "1s", "--heartbeat-timeout", "1s"];
    const nodes = await startNodes(stage, { roles, hasWires: true, args: heartbeat });
    const origin = await startHttpOrigin(stage, "hello");
    const wires = nodes.wires[nodes.hubs[0] ?? 0];
    const server = `http://127.0.0.1:${wires?.clients.port}`;
    const up = await startUp(stage, server, [`cat1:${origin.target}`], { ...ADMIN, args: ["--links", "1"] });
    wires?.clients.blackhole();
    expect((await nodes.admin("/api/kick", { who: "cat1" }, 1)).clients).toMatchObject([{ clientId: up.clientId }]);
    // It finds its link dead, and goes to another node.
    expect((await up.process.exited()).status).toBe(6);
    expect(up.process.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_KICKED" });
  });
});

describe.each(OF_DEAD_HUBS)("kick of a client of a dead hub, at $cluster", ({ roles }) => {
  it("is not confirmed while the client may come to another", async () => {
    const nodes = await startNodes(stage, { roles });
    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, nodes.url, [`cat1:${origin.target}`], { ...ADMIN, args: ["--links", "1"] });
    const holder = await holderOf(nodes, HOSTNAME);
    const through = nodes.servers.findIndex((_server, number) => number !== holder);
    up.process.kill("SIGSTOP");
    await nodes.servers[holder]?.process.end();
    const unknown = /DPX_STORE: Cannot tell whether all hubs have done it: .* does not answer/;
    await expect(nodes.admin("/api/kick", { who: "cat1" }, through)).rejects.toThrow(unknown);
    up.process.kill("SIGCONT");
    const asked = { ...nodes, servers: nodes.servers.filter((_server, number) => number !== holder) };
    await poll(() => isRegistered(asked, HOSTNAME), 20_000, "the client at another node");
    expect((await nodes.admin("/api/kick", { who: "cat1" }, through)).clients).toMatchObject([
      { clientId: up.clientId },
    ]);
    expect((await up.process.exited()).status).toBe(6);
  });
});
