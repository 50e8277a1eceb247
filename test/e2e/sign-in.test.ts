// A sign-in over time: kept through hours of `up`, given up, banned, ended by a kick. Real server, real browser, built
// command.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { createHome, type Home, type RunningUp, runDuplexity, spawnDuplexity, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { beginLogin, fillIn, newPerson, PASSWORD, type PeopleServer, startPeopleServer } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
let server: PeopleServer;
/** Ben's, who is signed in. */
let home: Home;

beforeEach(async () => {
  server = await startPeopleServer(stage);
  const browser = await startChromium(stage);
  const ben = await newPerson(stage, browser);
  home = ben.home;
  const { inviteUrl } = await server.admin("/api/users", { name: "ben" });
  await ben.page.goto(String(inviteUrl));
  await fillIn(ben.page, { password: PASSWORD });
  const { process, url } = await beginLogin(stage, server, home);
  await ben.page.goto(url);
  await process.nextLine("loggedIn");
});

const file = () => join(home.configDir, "sign-ins.json");

async function stored(): Promise<{ token: string; expiresAt: number; obtainedAt: number }> {
  return JSON.parse(await readFile(file(), "utf8")).signIns[0];
}

/** As if the token had been got a while ago and had `leftMs` left. */
async function age(leftMs: number): Promise<void> {
  const list = JSON.parse(await readFile(file(), "utf8"));
  const [signIn] = list.signIns;
  Object.assign(signIn, { obtainedAt: Date.now() - leftMs, expiresAt: Date.now() + leftMs });
  await writeFile(file(), JSON.stringify(list));
}

async function up(name: string): Promise<RunningUp> {
  const origin = await startHttpOrigin(stage, "hello");
  return startUp(stage, server.origin, [`${name}:${origin.target}`], { home });
}

describe("duplexity up with a stored sign-in", () => {
  it("renews it while it runs, without a new dial, and is visited all the time", async () => {
    await age(4_000);
    const { token } = await stored();
    const { process } = await up("cat1");
    await poll(async () => ((await stored()).token === token ? null : true), 20_000, "a new token");
    expect((await stored()).expiresAt - Date.now()).toBeGreaterThan(3_000_000);
    expect(await visit(server.port, "cat1.localhost", "/hello")).toMatchObject({ status: 200, body: "hello" });
    expect([process.hasExited, process.lines.map(({ type }) => type)]).toEqual([false, ["ready"]]);
  });

  it("exits 4 with the command to run, when it was given up meanwhile", async () => {
    await age(4_000);
    const { process } = await up("cat1");
    expect((await runDuplexity(stage, ["logout"], { home })).status).toBe(0);
    expect(await process.nextLine("error")).toMatchObject({
      code: "DPX_AUTH_INVALID",
      hint: `duplexity login ${server.origin}`,
    });
    expect(await process.exited()).toEqual({ status: 4, signal: null });
  });

  it("exits 4 with the command to run, when its person is removed", async () => {
    const { process } = await up("cat1");
    await server.admin("/api/users/remove", { name: "ben" });
    expect(await process.nextLine("error")).toMatchObject({
      code: "DPX_AUTH_INVALID",
      hint: `duplexity login ${server.origin}`,
    });
    expect((await process.exited()).status).toBe(4);
  });

  it("exits 6 when it is kicked, with who, why and until when; and stays out while it is banned", async () => {
    const { process } = await up("cat1");
    const { clients } = await server.admin("/api/kick", { who: "ben", reason: "too loud", banMs: 7_200_000 });
    expect(clients).toMatchObject([{ user: "ben", pipes: ["cat1.localhost"] }]);
    const error = await process.nextLine("error");
    expect(error).toMatchObject({ code: "DPX_KICKED" });
    expect(error.message).toMatch(/^admin kicked this client: too loud\. Banned until \d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
    expect(await process.exited()).toEqual({ status: 6, signal: null });
    const again = await spawnDuplexity(stage, ["up", "9090", "--json"], { home });
    expect(await again.nextLine("error")).toMatchObject({ code: "DPX_BANNED" });
    expect((await again.exited()).status).toBe(6);
  });

  it("gives its random name to the same person and machine, whatever the token is", async () => {
    const name = async () => {
      const process = await spawnDuplexity(stage, ["up", "9090", "--json"], { home });
      const { pipes } = await process.nextLine("ready");
      await process.end();
      return pipes;
    };
    const before = await name();
    await age(1);
    expect(await name()).toEqual(before);
  });

  it("stops waiting for the browser at Ctrl-C: nothing listens or is kept", async () => {
    const other = await createHome(stage);
    const { process, url } = await beginLogin(stage, server, other);
    process.kill("SIGINT");
    expect(await process.exited()).toEqual({ status: 130, signal: null });
    await expect(fetch(new URL(url).searchParams.get("redirect_uri") ?? "")).rejects.toThrow();
    expect((await runDuplexity(stage, ["whoami", "--server", server.origin], { home: other })).status).toBe(4);
  });

  it("is refused what only an admin may, with status 4", async () => {
    const run = await runDuplexity(stage, ["kick", "cat1", "--yes", "--json"], { home });
    expect([run.status, run.lines]).toMatchObject([4, [{ type: "error", code: "DPX_FORBIDDEN" }]]);
  });
});
