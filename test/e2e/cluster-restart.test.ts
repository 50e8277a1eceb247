// Nodes of a cluster that are drained: nobody who visits notices, and who stays is let finish.

import { describe, expect, it } from "vitest";
import { barMs, IS_FULL } from "../support/bars.ts";
import { startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { openEvents, untilTicked } from "../support/long-streams.ts";
import { CLUSTERS, holderOf, type Nodes, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { RequestLoad } from "../support/request-load.ts";
import { restartAll } from "../support/rolling-restart.ts";
import { useStage } from "../support/stage.ts";
import { keepAliveAgent, RawVisitor, visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const ADMIN = { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } };
const HOSTNAME = "cat1.localhost";
const REQUESTS_PER_SECOND = IS_FULL ? 1_000 : 200;
const STREAMS = 50;
const DRAIN_MS = IS_FULL ? 10_000 : 3_000;
const HELLO = `GET /hello HTTP/1.1\r\nHost: ${HOSTNAME}\r\n\r\n`;

/** Until node `number` says that it drains. */
async function untilDraining(nodes: Nodes, number: number): Promise<void> {
  const port = nodes.servers[number]?.internalPort ?? 0;
  await poll(async () => (await visit(port, "localhost", "/readyz")).status === 503, 5_000, "the drain", 5);
}

describe.each(CLUSTERS)("Each node of $cluster, drained and started again", ({ cluster, roles, isSplit }) => {
  // Six restarts of either.
  const rounds = IS_FULL || !isSplit ? 2 : 1;

  it("fails no request, and lets long streams live until the drain ends", async () => {
    const nodes = await startNodes(stage, { roles, args: ["--drain", `${DRAIN_MS}ms`] });
    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, nodes.url, [`cat1:${origin.target}`], ADMIN);
    const agent = keepAliveAgent(stage);
    const load = new RequestLoad({ port: nodes.port, hostname: HOSTNAME, perSecond: REQUESTS_PER_SECOND, agent });
    const options = { hostname: HOSTNAME, streams: STREAMS, drainMs: DRAIN_MS, rounds };
    const { restarts, streams } = await restartAll(stage, nodes, options);
    const { total, failures, slowestMs } = await load.stop();
    console.log(
      `${cluster}, restarted ${rounds} times: ${failures.length} of ${total} requests failed, the slowest took ${slowestMs.toFixed(0)} ms;`,
      `${streams.length} long streams, exits after ${restarts.map(({ tookMs }) => tookMs.toFixed(0)).join(", ")} ms`,
    );
    expect(failures).toEqual([]);
    expect(streams.flatMap(({ fault }) => fault ?? [])).toEqual([]);
    expect(restarts.map(({ status }) => status)).toEqual(Array(rounds * roles.length).fill(0));
    const lived = restarts.flatMap(({ livedMs }) => livedMs);
    // Through each node that visitors come to, its share at each restart.
    expect(lived.length).toBeGreaterThanOrEqual(2 * STREAMS);
    expect(lived.filter((ms) => ms === null || ms < DRAIN_MS)).toEqual([]);
    expect(up.process.hasExited).toBe(false);
  });
});

describe("A node that is drained", () => {
  it("exits in under a second with 0 when it is idle", async () => {
    const nodes = await startNodes(stage);
    const tookMs: number[] = [];
    for (const { process } of nodes.servers) {
      const signalledAt = performance.now();
      process.kill("SIGTERM");
      expect((await process.exited()).status).toBe(0);
      tookMs.push(performance.now() - signalledAt);
    }
    console.log(`idle nodes exit after ${tookMs.map((ms) => ms.toFixed(0)).join(", ")} ms`);
    // Of three, since a machine may be busy with something else for a moment.
    expect(Math.min(...tookMs)).toBeLessThan(barMs(1_000));
  });

  it.each([
    [true, "nodes have addresses of their own"],
    [false, "there is the balancer's address only"],
  ])("has its client registered elsewhere while it still serves who stays (%s: %s)", async (hasOwnAddresses) => {
    const nodes = await startNodes(stage, { hasOwnAddresses });
    const origin = await startHttpOrigin(stage, "hello");
    await startUp(stage, nodes.url, [`cat1:${origin.target}`], { ...ADMIN, args: ["--links", "1"] });
    const before = await holderOf(nodes, HOSTNAME);
    const old = nodes.servers[before];
    const stays = await openEvents(stage, { port: old?.port ?? 0, hostname: HOSTNAME });
    const others = [0, 1, 2].filter((number) => number !== before);
    const elsewhere = await openEvents(stage, { port: nodes.servers[others[0] ?? 0]?.port ?? 0, hostname: HOSTNAME });
    old?.process.kill("SIGTERM");
    const asked = { ...nodes, servers: nodes.servers.filter((_server, number) => number !== before) };
    await poll(
      () =>
        holderOf(asked, HOSTNAME).then(
          () => true,
          () => false,
        ),
      10_000,
      "the client at another node",
    );
    expect(old?.process.hasExited).toBe(false);
    await untilTicked([stays, elsewhere]);
    for (const number of others) {
      expect((await visit(nodes.servers[number]?.port ?? 0, HOSTNAME, "/hello")).status).toBe(200);
    }
    old?.process.kill("SIGTERM");
    await old?.process.exited();
    await untilTicked([elsewhere]);
    expect([stays.fault, elsewhere.fault]).toEqual([null, null]);
  });

  it("ends a visitor's connection with its next answer, and itself at a second signal", async () => {
    const nodes = await startNodes(stage);
    const origin = await startHttpOrigin(stage, "hello");
    await startUp(stage, nodes.url, [`cat1:${origin.target}`], ADMIN);
    const [server] = nodes.servers;
    const visitor = await RawVisitor.open(stage, server?.port ?? 0);
    visitor.write(HELLO);
    expect((await visitor.readUntil("hello")).toLowerCase()).not.toContain("connection: close");
    const stays = await openEvents(stage, { port: server?.port ?? 0, hostname: HOSTNAME });
    server?.process.kill("SIGTERM");
    await untilDraining(nodes, 0);
    visitor.write(HELLO);
    expect((await visitor.readAll()).toLowerCase()).toMatch(
      /^http\/1.1 200 [\s\S]*\r\nconnection: close\r\n[\s\S]*hello$/,
    );
    await untilTicked([stays]);
    server?.process.kill("SIGTERM");
    // The drain takes 30 s.
    await server?.process.exited(5_000);
    await poll(() => stays.endedAt !== null, 1_000, "the end of who stayed");
  });
});
