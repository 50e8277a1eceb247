// People as they come: the first admin, a colleague, a device without a browser, another provider. Real Chromium, the
// built command, a folder or Redis behind it.

import type { Browser, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { runDuplexity, spawnDuplexity, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { textOf } from "../support/lines.ts";
import { OUTSIDE_CLIENT, startOutsideProvider } from "../support/outside-provider.ts";
import {
  beginLogin,
  claimLink,
  fillIn,
  newPerson,
  PASSWORD,
  type PeopleServer,
  STORES,
  startPeopleServer,
} from "../support/people.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

describe.each(STORES)("People, kept in %s", (store) => {
  it("claim the server, log in, open a pipe and are visited", async () => {
    const server = await startPeopleServer(stage, { store });
    const browser = await startChromium(stage);
    const admin = await newPerson(stage, browser);
    await becomeAdmin(server, admin);
    const { process, url } = await beginLogin(stage, server, admin.home);
    await admin.page.goto(url);
    expect(await process.nextLine("loggedIn")).toMatchObject({ server: server.origin, user: "ada" });
    expect(await process.exited()).toEqual({ status: 0, signal: null });

    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, server.url, [`cat1:${origin.target}`], { home: admin.home });
    expect(await visit(server.port, "cat1.localhost", "/hello")).toMatchObject({ status: 200, body: "hello" });
    const who = await runDuplexity(stage, ["whoami", "--json"], { home: admin.home });
    expect(who.lines[0]).toMatchObject({ user: "ada", role: "admin" });
    expect(up.process.hasExited).toBe(false);
  });

  it("sign a device in that has no browser, by the code on its screen", async () => {
    const server = await startPeopleServer(stage, { store });
    const browser = await startChromium(stage);
    const ben = await invited(server, browser, "ben");
    // Another browser profile on another machine, as it were.
    const other = await newPerson(stage, browser);
    const process = await spawnDuplexity(stage, ["login", server.origin, "--device", "--json"], { home: other.home });
    const line = await process.nextLine("device");
    await ben.page.goto(textOf(line, "verificationUri"));
    await ben.page.getByLabel(/code/i).fill(textOf(line, "userCode"));
    await ben.page.locator("form button").first().click();
    const shown = await ben.page.locator("body").textContent();
    expect(shown).toContain(textOf(line, "userCode"));
    expect(shown).toContain("127.0.0.1");
    await ben.page.getByRole("button", { name: /approve|allow|yes/i }).click();
    expect(await process.nextLine("loggedIn")).toMatchObject({ user: "ben" });
    expect((await process.exited()).status).toBe(0);
  });
});

/** Opens the claim link and makes the admin "ada" of it. */
async function becomeAdmin(server: PeopleServer, { page }: { readonly page: Page }): Promise<void> {
  const link = server.process.stderr.includes("claim-link") ? await claimLink(server) : null;
  if (link === null) {
    // In Redis nothing lies in a folder: the admin token invites instead.
    const answer = await server.admin("/api/users", { name: "ada", admin: true });
    await page.goto(String(answer.inviteUrl));
    await fillIn(page, { password: PASSWORD });
  } else {
    await page.goto(link);
    await fillIn(page, { name: "ada", password: PASSWORD });
    const isGone = (): Promise<boolean> =>
      claimLink(server).then(
        () => false,
        () => true,
      );
    await poll(isGone, 5_000, "the used link's file to go");
  }
}

/** A person whom the admin invited, who has chosen a password and is signed in. */
async function invited(server: PeopleServer, browser: Browser, name: string) {
  const answer = await server.admin("/api/users", { name });
  const person = await newPerson(stage, browser);
  await person.page.goto(String(answer.inviteUrl));
  await fillIn(person.page, { password: PASSWORD });
  return person;
}

describe("People from another provider", () => {
  it("sign in there, and are admins where the provider says so", async () => {
    const port = await freePort();
    const outside = await startOutsideProvider(stage, `http://localhost:${port}/auth/outside/callback`);
    outside.claims = { preferred_username: "grace", groups: ["tunnel-admins"] };
    const args = ["--oidc-issuer", outside.issuer, "--oidc-client-id", OUTSIDE_CLIENT.clientId];
    const server = await startPeopleServer(stage, {
      port,
      args: [...args, "--oidc-admin", "groups=tunnel-admins", "--oidc-only"],
      env: { DUPLEXITY_OIDC_CLIENT_SECRET: OUTSIDE_CLIENT.clientSecret },
    });
    const { page, home } = await newPerson(stage, await startChromium(stage));
    const { process, url } = await beginLogin(stage, server, home);
    await page.goto(url);
    expect(await page.locator('input[type="password"]').count()).toBe(0);
    await page.locator('a[href^="/auth/outside"]').first().click();
    expect(await process.nextLine("loggedIn")).toMatchObject({ user: "grace" });
    const who = await runDuplexity(stage, ["whoami", "--json"], { home });
    expect(who.lines[0]).toMatchObject({ user: "grace", role: "admin" });
  });
});
