// Split roles: two proxies, two hubs, a backend and the sign-in as six real processes, haproxy in front of the proxies, one
// real Redis that only the backend knows. What holds for nodes of all kinds is in cluster-*, redis and faults, for these too.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { openStore } from "../../src/server/store/index.ts";
import { barMs, IS_FULL } from "../support/bars.ts";
import { startChromium } from "../support/chromium.ts";
import { type RunningUp, runDuplexity, spawnDuplexity, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { isObject, textOf } from "../support/lines.ts";
import { type Nodes, type NodesOptions, SIX, startNodes } from "../support/nodes.ts";
import { ADMIN_TOKEN, fillIn, newPerson, PASSWORD } from "../support/people.ts";
import { RequestLoad } from "../support/request-load.ts";
import { restartAll } from "../support/rolling-restart.ts";
import { useStage } from "../support/stage.ts";
import { keepAliveAgent, visit } from "../support/visitor.ts";

const stage = useStage();
const ADMIN = { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } };
const HOSTNAME = "cat1.localhost";
const [BACKEND, AUTH] = [4, 5];
const REQUESTS_PER_SECOND = IS_FULL ? 1_000 : 100;
const DRAIN_MS = 2_000;

function startSix(options: NodesOptions = {}): Promise<Nodes> {
  return startNodes(stage, { roles: SIX, ...options });
}

function up(nodes: Nodes, target: string, name = "cat1", args: readonly string[] = []): Promise<RunningUp> {
  return startUp(stage, nodes.url, [`${name}:${target}`], { ...ADMIN, args });
}

function portOf(nodes: Nodes, number: number): number {
  return nodes.servers[number]?.port ?? 0;
}

describe("Six processes, each with one role or two of a kind", () => {
  it("serve a name at both proxies, and say at every other node that it takes no visitors", async () => {
    const nodes = await startSix();
    const origin = await startHttpOrigin(stage, "hello");
    await up(nodes, origin.target);
    for (const number of nodes.proxies) {
      expect(await visit(portOf(nodes, number), HOSTNAME, "/hello")).toMatchObject({ status: 200, body: "hello" });
    }
    for (const number of [...nodes.hubs, BACKEND, AUTH]) {
      const answer = await visit(portOf(nodes, number), HOSTNAME, "/hello");
      expect(answer.status).toBe(421);
      expect(answer.headers["duplexity-error"]).toBe("DPX_MISDIRECTED");
    }
  });

  it("take a client in at any of them, whose sockets are passed on to the hubs, and the sign-in's and API's requests", async () => {
    const nodes = await startSix({ hasOwnAddresses: false });
    const origin = await startHttpOrigin(stage, "hello");
    for (const [number, server] of nodes.servers.entries()) {
      await startUp(stage, server.url, [`cat${number}:${origin.target}`], ADMIN);
      expect((await visit(nodes.port, `cat${number}.localhost`, "/hello")).status).toBe(200);
      expect(await nodes.admin("/api/clients", undefined, number)).toMatchObject({ clients: { length: number + 1 } });
      const page = await visit(server.port, `localhost:${nodes.port}`, "/auth/.well-known/openid-configuration");
      expect(JSON.parse(page.body)).toMatchObject({ issuer: `http://localhost:${nodes.port}/auth` });
    }
  });

  it("know a user by a machine's token that was made at another node a moment ago", async () => {
    const nodes = await startSix();
    const origin = await startHttpOrigin(stage, "hello");
    await nodes.admin("/api/users", { name: "ben" }, 0);
    const { secret } = await nodes.admin("/api/tokens", { name: "ci", user: "ben" }, 1);
    const env = { DUPLEXITY_TOKEN: String(secret) };
    await startUp(stage, nodes.servers[3]?.url ?? "", [`cat1:${origin.target}`], { env });
    expect(JSON.stringify(await nodes.admin("/api/clients"))).toContain("ben@ci");
    expect((await visit(nodes.port, HOSTNAME, "/hello")).status).toBe(200);
  });

  it("end a client whose token is gone as soon as its hub knows, although nobody has told the hub to look", async () => {
    const nodes = await startSix();
    const origin = await startHttpOrigin(stage, "hello");
    const store = await openStore({ kind: "redis", url: `redis://127.0.0.1:${nodes.redisPort}` });
    stage.defer(() => store.close());
    await nodes.admin("/api/users", { name: "ben" }, 0);
    for (const name of ["one", "two", "three"]) {
      const { token, secret } = await nodes.admin("/api/tokens", { name, user: "ben" }, 0);
      if (!isObject(token)) throw new Error("There is no token");
      const env = { DUPLEXITY_TOKEN: String(secret) };
      const { process } = await startUp(stage, nodes.url, [`cat1:${origin.target}`], { env });
      const goneAt = performance.now();
      await store.take(`token/${String(token.tokenId)}`);
      expect((await process.exited(30_000)).status).toBe(4);
      // Else the next renewal ends it, within 10 s.
      expect(performance.now() - goneAt).toBeLessThan(barMs(2_000));
    }
  });

  it("sign people in through a proxy, for the command line and for a pipe's gate, until they are banned", async () => {
    const nodes = await startSix();
    const server = `http://localhost:${nodes.port}`;
    const origin = await startHttpOrigin(stage, "hello");
    const { page, home } = await newPerson(stage, await startChromium(stage));
    const { inviteUrl } = await nodes.admin("/api/users", { name: "ben" }, 2);
    await page.goto(String(inviteUrl));
    await fillIn(page, { password: PASSWORD });
    const login = await spawnDuplexity(stage, ["login", server, "--no-browser", "--json"], { home });
    await page.goto(textOf(await login.nextLine("authorize"), "url"));
    await login.nextLine("loggedIn");
    const running = await startUp(stage, server, [`cat1:${origin.target}`], { home, args: ["--login"] });
    const url = `http://${HOSTNAME}:${nodes.port}/hello`;
    expect((await visit(nodes.port, HOSTNAME, "/hello")).status).toBe(401);
    for (let visits = 0; visits < 4; visits += 1) expect((await page.goto(url))?.status()).toBe(200);
    await nodes.admin("/api/kick", { who: "ben", banMs: 600_000 }, 0);
    expect((await running.process.exited()).status).toBe(6);
    await up(nodes, origin.target, "dog1", ["--login"]);
    const other = `http://dog1.localhost:${nodes.port}/hello`;
    for (let visits = 0; visits < 4; visits += 1) expect((await page.goto(other))?.status()).toBe(403);
  });

  it("refuse TCP pipes, and one of them TCP ports, and say why", async () => {
    const nodes = await startSix();
    const args = ["up", "--json", "--server", nodes.url, "--pipe", "db:tcp://127.0.0.1:5432"];
    const refused = await spawnDuplexity(stage, args, ADMIN);
    await refused.untilPrinted("DPX_TCP_PORTS");
    expect(refused.stdout + refused.stderr).toContain("this server has no TCP ports");
    expect(refused.stdout + refused.stderr).toContain("on nodes with the roles backend, hub and proxy");
    const { args: started } = nodes.servers[nodes.hubs[0] ?? 0]?.process ?? { args: [] };
    const hub = await runDuplexity(stage, [...started, "--tcp-ports", "20000-20099"]);
    expect(hub.status).toBe(2);
    expect(hub.stdout + hub.stderr).toContain("Leave --tcp-ports out, or run nodes with all roles.");
  });

  it("kick a client through any of them", async () => {
    const nodes = await startSix();
    const origin = await startHttpOrigin(stage, "hello");
    const tookMs: number[] = [];
    for (const number of nodes.servers.keys()) {
      const running = await up(nodes, origin.target, `cat${number}`);
      const asked = performance.now();
      const kicked = await nodes.admin("/api/kick", { who: `cat${number}`, banMs: 600_000 }, number);
      tookMs.push(performance.now() - asked);
      expect(kicked.clients).toMatchObject([{ clientId: running.clientId }]);
      expect((await running.process.exited()).status).toBe(6);
      const args = ["up", "--json", "--server", nodes.url, "--pipe", `cat${number}:9090`];
      expect((await runDuplexity(stage, args, ADMIN)).status).toBe(6);
    }
    console.log(`kicked through each of six nodes after ${tookMs.map((ms) => ms.toFixed(0)).join(", ")} ms`);
    expect(Math.max(...tookMs)).toBeLessThan(barMs(1_000));
  });

  it("take a client back whose hubs have died and are at their addresses again before others know", async () => {
    const nodes = await startSix({ hasOwnAddresses: false });
    const origin = await startHttpOrigin(stage, "hello");
    const running = await up(nodes, origin.target);
    await Promise.all(
      nodes.hubs.map(async (number) => {
        await nodes.servers[number]?.process.end();
        await nodes.restart(number);
      }),
    );
    await running.process.nextLine("resumed");
    expect((await visit(nodes.port, HOSTNAME, "/hello")).status).toBe(200);
  });

  // Without own addresses all that clients send goes through the proxies.
  it("fail no request while all are restarted one by one, with hubs that clients do not reach", async () => {
    const nodes = await startSix({ hasOwnAddresses: false, args: ["--drain", `${DRAIN_MS}ms`] });
    const origin = await startHttpOrigin(stage, "hello");
    const running = await up(nodes, origin.target);
    const agent = keepAliveAgent(stage);
    const load = new RequestLoad({ port: nodes.port, hostname: HOSTNAME, perSecond: REQUESTS_PER_SECOND, agent });
    const options = { hostname: HOSTNAME, streams: 8, drainMs: DRAIN_MS, rounds: 1 };
    const { restarts, streams } = await restartAll(stage, nodes, options);
    const { total, failures, slowestMs } = await load.stop();
    console.log(
      `six restarted: ${failures.length} of ${total} requests failed, the slowest took ${slowestMs.toFixed(0)} ms;`,
      `exits after ${restarts.map(({ tookMs }) => tookMs.toFixed(0)).join(", ")} ms`,
    );
    expect(failures).toEqual([]);
    expect(streams.flatMap(({ fault }) => fault ?? [])).toEqual([]);
    expect(restarts.map(({ status }) => status)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(running.process.hasExited).toBe(false);
  });
});

describe("A backend that is gone", () => {
  it.each(["SIGKILL", "SIGSTOP"] as const)(
    "leaves what is live served (%s), and is well soon after",
    async (signal) => {
      const nodes = await startSix();
      const origin = await startHttpOrigin(stage, "hello");
      await up(nodes, origin.target);
      for (const number of nodes.proxies) await visit(portOf(nodes, number), HOSTNAME, "/hello");
      const backend = nodes.servers[BACKEND]?.process;
      backend?.kill(signal);
      const load = new RequestLoad({ port: portOf(nodes, 0), hostname: HOSTNAME, perSecond: 50 });
      await nodes.untilUp(2, false);
      await expect(nodes.admin("/api/users", { name: "ben" }, 2)).rejects.toThrow("DPX_STORE");
      // Past the age at which a route is asked for again.
      await delay(12_000);
      const { total, failures } = await load.stop();
      expect({ total: total > 500, failures }).toEqual({ total: true, failures: [] });
      if (signal === "SIGSTOP") backend?.kill("SIGCONT");
      else await nodes.restart(BACKEND);
      for (const number of nodes.servers.keys()) await nodes.untilUp(number, true);
      await up(nodes, origin.target, "cat2");
      expect((await visit(nodes.port, "cat2.localhost", "/hello")).status).toBe(200);
      expect((await visit(nodes.port, HOSTNAME, "/hello")).status).toBe(200);
    },
  );

  it("is noticed by nobody where there is another one", async () => {
    const nodes = await startNodes(stage, { roles: ["proxy", "hub", "backend", "backend", "auth"] });
    const origin = await startHttpOrigin(stage, "hello");
    await up(nodes, origin.target);
    const load = new RequestLoad({ port: nodes.port, hostname: HOSTNAME, perSecond: 50 });
    for (const number of [2, 3]) {
      nodes.servers[number]?.process.kill("SIGKILL");
      await up(nodes, origin.target, `dog${number}`);
      expect((await visit(nodes.port, `dog${number}.localhost`, "/hello")).status).toBe(200);
      await nodes.admin("/api/users", { name: `user${number}` }, 0);
      await nodes.restart(number);
      await nodes.untilUp(number, true);
    }
    expect((await load.stop()).failures).toEqual([]);
  });
});
