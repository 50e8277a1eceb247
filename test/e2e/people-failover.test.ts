// Accounts of a server whose Redis fails over: who was signed in still is, on the command line, in the browser, and with a
// running `up`. Real Sentinels, real browser, built command.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { runDuplexity, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { beginLogin, fillIn, newPerson, PASSWORD, startPeopleServer } from "../support/people.ts";
import { redisCli, untilReplicated } from "../support/redis.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { startWatchedRedis } from "../support/redis-sentinel.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

interface Failing {
  readonly url: string;
  /** Kills the process that has the accounts, once its replica has them too. */
  fail(): Promise<void>;
}

async function behindSentinels(): Promise<Failing> {
  const { primary, sentinelPorts } = await startWatchedRedis(stage);
  const fail = async (): Promise<void> => {
    await untilReplicated(primary.port);
    await primary.end();
  };
  return { url: `redis+sentinel://${hostsOf(sentinelPorts)}/main`, fail };
}

async function asCluster(): Promise<Failing> {
  const nodes = await startRedisCluster(stage);
  const fail = async (): Promise<void> => {
    for (const { port, end } of nodes) {
      const isPrimary = (await redisCli(port, ["ROLE"])).startsWith("master");
      if (!isPrimary || (await redisCli(port, ["EXISTS", "duplexity:{store}:index"])) !== "1") continue;
      await untilReplicated(port);
      await end();
      return;
    }
    throw new Error("No process has the accounts");
  };
  return { url: `redis://${hostsOf(nodes.map(({ port }) => port))}`, fail };
}

function hostsOf(ports: readonly number[]): string {
  return ports.map((port) => `127.0.0.1:${port}`).join(",");
}

describe("serve --redis", () => {
  it.each([
    ["behind Sentinels", behindSentinels],
    ["as a Redis Cluster", asCluster],
  ])(
    "keeps people signed in when the primary is killed: %s",
    async (_what, start) => {
      const redis = await start();
      const secretFile = join(await stage.folder("secret"), "cluster");
      await writeFile(secretFile, "cluster-secret-0123456789abcdefghij\n", { mode: 0o600 });
      const args = ["--cluster-secret-file", secretFile];
      const server = await startPeopleServer(stage, { redisUrl: redis.url, args });
      const { page, home } = await newPerson(stage, await startChromium(stage));
      const { inviteUrl } = await server.admin("/api/users", { name: "ben" });
      await page.goto(String(inviteUrl));
      await fillIn(page, { password: PASSWORD });
      const { process, url } = await beginLogin(stage, server, home);
      await page.goto(url);
      await process.nextLine("loggedIn");
      const origin = await startHttpOrigin(stage, "hello");
      const up = await startUp(stage, server.origin, [`cat1:${origin.target}`], { home });

      await redis.fail();
      expect(await visit(server.port, "cat1.localhost", "/hello")).toMatchObject({ status: 200, body: "hello" });
      const isWritable = (): Promise<boolean> =>
        server.admin("/api/users", { name: "eve" }).then(
          () => true,
          () => false,
        );
      await poll(isWritable, 60_000, "the replica to take over", 200);

      // A refresh token is redeemed for the next one: a write at the new primary, of what the old one had confirmed.
      const file = join(home.configDir, "sign-ins.json");
      const list = JSON.parse(await readFile(file, "utf8"));
      Object.assign(list.signIns[0], { obtainedAt: Date.now() - 3_600_000, expiresAt: Date.now() - 1_000 });
      await writeFile(file, JSON.stringify(list));
      const who = await runDuplexity(stage, ["whoami", "--json"], { home });
      expect(who.lines[0]).toMatchObject({ user: "ben" });
      await page.goto(`${server.origin}/auth/account`);
      expect(await page.locator("body").textContent()).toContain("ben");
      expect(await visit(server.port, "cat1.localhost", "/hello")).toMatchObject({ status: 200, body: "hello" });
      expect(up.process.hasExited).toBe(false);
    },
    120_000,
  );
});
