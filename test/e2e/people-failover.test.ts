// Accounts of a server whose Redis fails over: who was signed in still is, on the command line, in the browser, and with a
// running `up`. Real Sentinels, real browser, built command.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { runDuplexity, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { beginLogin, fillIn, newPerson, PASSWORD, startPeopleServer } from "../support/people.ts";
import { untilReplicated } from "../support/redis.ts";
import { startWatchedRedis } from "../support/redis-sentinel.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

describe("serve --redis redis+sentinel://", () => {
  it("keeps people signed in when the primary is killed", async () => {
    const redis = await startWatchedRedis(stage);
    const sentinels = redis.sentinelPorts.map((port) => `127.0.0.1:${port}`).join(",");
    const secretFile = join(await stage.folder("secret"), "cluster");
    await writeFile(secretFile, "cluster-secret-0123456789abcdefghij\n", { mode: 0o600 });
    const server = await startPeopleServer(stage, {
      redisUrl: `redis+sentinel://${sentinels}/main`,
      args: ["--cluster-secret-file", secretFile],
    });
    const { page, home } = await newPerson(stage, await startChromium(stage));
    const { inviteUrl } = await server.admin("/api/users", { name: "ben" });
    await page.goto(String(inviteUrl));
    await fillIn(page, { password: PASSWORD });
    const { process, url } = await beginLogin(stage, server, home);
    await page.goto(url);
    await process.nextLine("loggedIn");
    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, server.origin, [`cat1:${origin.target}`], { home });

    await untilReplicated(redis.primary.port);
    await redis.primary.end();
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
  }, 120_000);
});
