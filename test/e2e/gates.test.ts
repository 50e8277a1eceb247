// Visitors kept out by the built command, from the flag to the browser's answer, through a link that is cut.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { createHome, spawnUp, startServer } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { ADMIN_TOKEN, fillIn, newPerson, PASSWORD, startPeopleServer } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { startFaultyTunnel, startTunnel } from "../support/tunnel.ts";
import { visit } from "../support/visitor.ts";

const stage = useStage();

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

describe("up --basic-auth", () => {
  it("asks every visitor, before a cut of the link and after", async () => {
    const file = join(await stage.folder("visitors"), "visitors");
    await writeFile(file, "# who\nada:correct horse\n", { mode: 0o600 });
    const tunnel = await startFaultyTunnel(stage, { upArgs: ["--basic-auth", file] });
    const ask = async (headers: Record<string, string> = {}) => {
      const { status, headers: fields, body } = await tunnel.visit("/headers", { headers });
      return { status, challenge: fields["www-authenticate"] ?? null, body };
    };
    const refused = { status: 401, challenge: `Basic realm="${tunnel.hostname}", charset="UTF-8"` };
    expect(await ask()).toMatchObject(refused);
    expect(await ask(basic("ada", "wrong"))).toMatchObject(refused);
    const entered = await ask(basic("ada", "correct horse"));
    expect(entered).toMatchObject({ status: 200, challenge: null });
    expect(entered.body).not.toMatch(/authorization/i);
    tunnel.link.cutAll();
    expect(await ask(basic("ada", "correct horse"))).toMatchObject({ status: 200 });
    expect(await ask()).toMatchObject(refused);
    const printed = tunnel.server.process.printed() + tunnel.up.process.printed();
    expect(printed).not.toMatch(/correct horse|Y29ycmVjdCBob3JzZQ/);
  });
});

describe("up --allow-cidr", () => {
  it("lets in whom it names, and tells the others apart from an unknown name", async () => {
    const open = await startTunnel(stage, { upArgs: ["--allow-cidr", "127.0.0.0/8", "--allow-cidr", "::1"] });
    expect((await open.visit("/hello")).status).toBe(200);
    const closed = await startTunnel(stage, { upArgs: ["--allow-cidr", "192.0.2.0/24"] });
    const answer = await closed.visit("/");
    expect([answer.status, answer.headers["duplexity-error"]]).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
    expect((await visit(closed.server.port, "other.localhost", "/")).status).toBe(404);
  });
});

describe("up --login", () => {
  it("lets people of the server in by their browser, until one is banned, and nobody else", async () => {
    const server = await startPeopleServer(stage);
    const browser = await startChromium(stage);
    const origin = await startHttpOrigin(stage);
    const up = await spawnUp(stage, server.url, [`cat1:${origin.target}`], {
      home: await createHome(stage),
      env: { DUPLEXITY_TOKEN: ADMIN_TOKEN },
      args: ["--login", "--log-requests"],
    });
    await up.nextLine("ready");
    const page = `http://cat1.localhost:${server.port}/headers?x=1`;
    expect((await visit(server.port, "cat1.localhost", "/headers")).status).toBe(401);

    const ada = await newPerson(stage, browser);
    const { inviteUrl } = await server.admin("/api/users", { name: "ada" });
    await ada.page.goto(String(inviteUrl));
    await fillIn(ada.page, { password: PASSWORD });
    const answer = await ada.page.goto(page);
    expect([answer?.status(), ada.page.url()]).toEqual([200, page]);
    expect(await answer?.text()).not.toContain("__Host-");

    // A stranger is asked by the server itself, and comes in once it is known who it is.
    const stranger = await newPerson(stage, browser);
    await stranger.page.goto(page);
    expect(new URL(stranger.page.url()).origin).toBe(server.origin);
    await fillIn(stranger.page, { name: "ada", password: PASSWORD });
    await stranger.page.waitForURL(page);

    await server.admin("/api/kick", { who: "ada", banMs: 60_000 });
    expect((await ada.page.goto(page))?.status()).toBe(403);
    expect((await stranger.page.goto(page))?.status()).toBe(403);
    // The cookie is gone: what comes now is auth's word.
    expect((await ada.page.goto(page))?.status()).toBe(403);
    expect(new URL(ada.page.url()).origin).toBe(server.origin);
    expect(up.printed() + server.process.printed()).not.toMatch(/code=|state=|__Host-/);
  });

  it("is refused by a server without accounts, with what to do instead", async () => {
    const server = await startServer(stage);
    const home = await createHome(stage);
    const up = await spawnUp(stage, server.url, ["cat1:9090"], { home, args: ["--login"] });
    expect(await up.exited()).toMatchObject({ status: 2 });
    expect(await up.nextLine("error")).toMatchObject({
      code: "DPX_USAGE",
      message: 'Cannot register "cat1" with a sign-in: this server has no accounts',
      hint: expect.stringContaining("--basic-auth FILE"),
    });
  });
});
