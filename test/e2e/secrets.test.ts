// No secret shows: not in what any command prints at its most talkative, not on a command line, not in an address; and
// what is kept is for its owner alone.

import { chmod, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { runDuplexity, spawnDuplexity, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { isObject } from "../support/lines.ts";
import { argvOf } from "../support/memory.ts";
import {
  ADMIN_TOKEN,
  beginLogin,
  claimLink,
  fillIn,
  newPerson,
  PASSWORD,
  startPeopleServer,
} from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";

const stage = useStage();

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.map((entry) => join(entry.parentPath, entry.name));
}

async function expectPrivate(folder: string): Promise<void> {
  for (const path of [folder, ...(await filesBelow(folder))]) {
    const { mode } = await stat(path);
    expect([path, mode & 0o077]).toEqual([path, 0]);
  }
}

describe("Secrets", () => {
  it("are in no output, command line or address, whatever happens", async () => {
    const server = await startPeopleServer(stage, { args: ["--log-level", "debug"] });
    const secrets = new Map<string, string>([
      ["admin token", ADMIN_TOKEN],
      ["password", PASSWORD],
    ]);
    const { context, page, home } = await newPerson(stage, await startChromium(stage));
    const urls: string[] = [];
    context.on("request", (request) => urls.push(request.url()));
    const link = await claimLink(server);
    secrets.set("claim", new URL(link).hash.slice(1));
    await page.goto(link);
    await fillIn(page, { name: "ada", password: PASSWORD });
    // Somebody else guesses.
    const stranger = await newPerson(stage, await startChromium(stage));
    await stranger.page.goto(`${server.origin}/auth/sign-in`);
    secrets.set("wrong password", "wrong password 123");
    await fillIn(stranger.page, { name: "ada", password: "wrong password 123" });

    const { process: login, url } = await beginLogin(stage, server, home);
    await page.goto(url);
    await login.exited();
    const kept: unknown = JSON.parse(await readFile(join(home.configDir, "sign-ins.json"), "utf8"));
    const found = tokensIn(kept);
    expect(found.length).toBeGreaterThanOrEqual(2);
    for (const [index, token] of found.entries()) secrets.set(`token ${index}`, token);
    for (const cookie of await context.cookies()) secrets.set(`cookie ${cookie.name}`, cookie.value);
    const machine = await runDuplexity(stage, ["token", "create", "ci", "--server", server.origin], { home });
    secrets.set("machine token", machine.stdout.trim());
    expect(machine.stdout.trim()).toMatch(/^dpx_/);

    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, server.url, [`cat1:${origin.target}`], { home, args: ["--log-requests"] });
    const ci = { env: { DUPLEXITY_TOKEN: machine.stdout.trim() } };
    const second = await startUp(stage, server.url, [`cat2:${origin.target}`], ci);
    expect((await visit(server.port, "cat1.localhost", "/hello")).status).toBe(200);
    // What goes wrong tells no more.
    const wrong = await spawnDuplexity(stage, ["list", "--server", server.origin], {
      env: { DUPLEXITY_TOKEN: `${machine.stdout.trim().slice(0, -1)}_` },
    });
    expect((await wrong.exited()).status).toBe(4);
    await server.admin("/api/kick", { who: "cat2", banMs: 60_000 });
    await second.process.exited();

    const running = [server.process, up.process];
    const argv = (await Promise.all(running.map(({ pid }) => argvOf(pid)))).join("\n");
    const printed = [server.process, up.process, second.process, login, wrong].map((one) => one.stdout + one.stderr);
    // Where the browser was sent: the one-time code of a redirect to this machine is the one thing that travels so.
    const places = { argv, printed: printed.join("\n"), urls: urls.join("\n") };
    for (const [name, secret] of secrets) {
      for (const [place, text] of Object.entries(places)) {
        expect([name, place, text.includes(secret)]).toEqual([name, place, false]);
      }
    }
    await expectPrivate(join(server.folder, "data"));
    await expectPrivate(home.configDir);
  });

  it("that others could read are closed to them, with a warning", async () => {
    const server = await startPeopleServer(stage);
    server.process.kill("SIGTERM");
    await server.process.exited();
    const data = join(server.folder, "data");
    for (const path of [data, ...(await filesBelow(data))]) await chmod(path, path === data ? 0o755 : 0o644);
    const again = await startPeopleServer(stage, { folder: server.folder });
    await expectPrivate(data);
    expect(again.process.stderr).toMatch(/was open to others/);
  });
});

/** Every long string in what the command line keeps of a sign-in: its tokens. */
function tokensIn(value: unknown): string[] {
  if (typeof value === "string") return value.length >= 40 && !value.startsWith("http") ? [value] : [];
  if (Array.isArray(value)) return value.flatMap(tokensIn);
  return isObject(value) ? Object.values(value).flatMap(tokensIn) : [];
}
