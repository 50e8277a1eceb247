// What a command line that is signed in may go on with, and what ends it.

import * as client from "openid-client";
import { describe, expect, it } from "vitest";
import { MAX_RETRIES } from "../../../src/server/auth/refresh-chain.ts";
import { useStage } from "../../support/stage.ts";
import { begin, discover, errorOf, finish, signInCli } from "./cli.ts";
import { PASSWORD, startAuth } from "./stage.ts";
import { hiddenFields, TestBrowser } from "./test-browser.ts";

const stage = useStage();

describe("The refresh tokens of the auth service", () => {
  it("rotates them: each is good once, and gives a new one with an ID token", async () => {
    const started = await startAuth(stage);
    const { configuration, tokens } = await signInCli(started, new TestBrowser(started));
    const second = await client.refreshTokenGrant(configuration, tokens.refresh_token ?? "");
    expect(second.refresh_token).toMatch(/^[\w-]{43,}$/);
    expect(second.refresh_token).not.toBe(tokens.refresh_token);
    expect(second.claims()?.sub).toBe(started.accounts.byName("ben")?.userId);
    const third = await client.refreshTokenGrant(configuration, second.refresh_token ?? "");
    expect(third.id_token).toBeDefined();
  });

  it("ends all that came of the sign-in when a token comes after the one that was given for it, also the thief's", async () => {
    const started = await startAuth(stage);
    const { configuration, tokens } = await signInCli(started, new TestBrowser(started));
    const stolen = tokens.refresh_token ?? "";
    const thief = await client.refreshTokenGrant(configuration, stolen);
    const next = await client.refreshTokenGrant(configuration, thief.refresh_token ?? "");
    expect(await errorOf(client.refreshTokenGrant(configuration, stolen))).toBe("invalid_grant");
    expect(await errorOf(client.refreshTokenGrant(configuration, next.refresh_token ?? ""))).toBe("invalid_grant");
    expect(await signOuts(started)).toEqual([["ben", "a code or refresh token came twice"]]);
  });

  it("takes a token again whose answer was lost, and goes on with what it gives then", async () => {
    const started = await startAuth(stage);
    const { configuration, tokens } = await signInCli(started, new TestBrowser(started));
    const token = tokens.refresh_token ?? "";
    const lost = await client.refreshTokenGrant(configuration, token);
    const again = await client.refreshTokenGrant(configuration, token);
    expect(again.refresh_token).not.toBe(lost.refresh_token);
    const next = await client.refreshTokenGrant(configuration, again.refresh_token ?? "");
    expect(next.claims()?.sub).toBe(started.accounts.byName("ben")?.userId);
    expect(await signOuts(started)).toEqual([]);
  });

  it("ends all when what was given for a token comes although the token came again: two have it", async () => {
    const started = await startAuth(stage);
    const { configuration, tokens } = await signInCli(started, new TestBrowser(started));
    const token = tokens.refresh_token ?? "";
    const thief = await client.refreshTokenGrant(configuration, token);
    const owner = await client.refreshTokenGrant(configuration, token);
    expect(await errorOf(client.refreshTokenGrant(configuration, thief.refresh_token ?? ""))).toBe("invalid_grant");
    expect(await errorOf(client.refreshTokenGrant(configuration, owner.refresh_token ?? ""))).toBe("invalid_grant");
    expect(await signOuts(started)).toEqual([["ben", "a code or refresh token came twice"]]);
  });

  it("gives twenty who come at once with one token no more than a few, ends the grant, and writes it down", async () => {
    const started = await startAuth(stage);
    const { configuration, tokens } = await signInCli(started, new TestBrowser(started));
    const token = tokens.refresh_token ?? "";
    const all = await Promise.all(
      Array.from({ length: 20 }, () => errorOf(client.refreshTokenGrant(configuration, token))),
    );
    expect(all.filter((one) => one === "none").length).toBeLessThanOrEqual(1 + MAX_RETRIES);
    expect(await errorOf(client.refreshTokenGrant(configuration, token))).toBe("invalid_grant");
    expect(await signOuts(started)).toEqual([["ben", "a code or refresh token came twice"]]);
  });

  it("leaves another machine of the same person signed in", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    const one = await signInCli(started, browser);
    const other = await signInCliAgain(started, browser);
    await client.tokenRevocation(one.configuration, one.tokens.refresh_token ?? "");
    expect(await errorOf(client.refreshTokenGrant(one.configuration, one.tokens.refresh_token ?? ""))).toBe(
      "invalid_grant",
    );
    expect(await errorOf(client.refreshTokenGrant(one.configuration, other.refresh_token ?? ""))).toBe("none");
    const events = await started.audit.read(10);
    expect(events.filter(({ action }) => action === "sign-out").map(({ by }) => by)).toEqual(["ben"]);
  });

  it("tells a banned person why, and goes on when the ban is over", async () => {
    const started = await startAuth(stage);
    const { configuration, tokens } = await signInCli(started, new TestBrowser(started));
    const userId = started.accounts.byName("ben")?.userId ?? "";
    const subject = { kind: "user", userId, name: "ben" } as const;
    await started.bans.add({ subject, by: "anna", reason: "spam", at: Date.now(), until: null });
    const refused = client.refreshTokenGrant(configuration, tokens.refresh_token ?? "");
    await expect(refused).rejects.toMatchObject({
      error: "access_denied",
      error_description: expect.stringContaining("banned by anna"),
    });
    await started.bans.lift("ben");
    expect(await errorOf(client.refreshTokenGrant(configuration, tokens.refresh_token ?? ""))).toBe("none");
  });

  it("gives nothing to an account that was removed", async () => {
    const started = await startAuth(stage);
    const { configuration, tokens } = await signInCli(started, new TestBrowser(started));
    await started.accounts.remove(started.accounts.byName("ben")?.userId ?? "");
    expect(await errorOf(client.refreshTokenGrant(configuration, tokens.refresh_token ?? ""))).toBe("invalid_grant");
  });

  it("ends with a new password, as does every other browser", async () => {
    const started = await startAuth(stage);
    const [mine, other] = [new TestBrowser(started), new TestBrowser(started)];
    const { configuration, tokens } = await signInCli(started, other);
    await mine.signIn();
    const page = await mine.get("/auth/account");
    const fields = {
      ...hiddenFields(page.body),
      old: PASSWORD,
      password: "a goat on the roof",
      again: "a goat on the roof",
    };
    const changed = await mine.post("/auth/account", fields);
    expect(changed.body).toContain("The password is changed.");
    expect((await mine.get("/auth/account")).status).toBe(200);
    expect((await other.get("/auth/account")).status).toBe(303);
    expect((await other.get((await begin(configuration)).path)).location).toContain("/auth/sign-in?");
    expect(await errorOf(client.refreshTokenGrant(configuration, tokens.refresh_token ?? ""))).toBe("invalid_grant");
    expect((await started.audit.read(1))[0]).toMatchObject({ action: "password-change", by: "ben" });
  });
});

async function signOuts({ audit }: Awaited<ReturnType<typeof startAuth>>) {
  const events = await audit.read(50);
  return events.filter(({ action }) => action === "sign-out").map(({ by, detail }) => [by, detail]);
}

async function signInCliAgain(started: Awaited<ReturnType<typeof startAuth>>, browser: TestBrowser) {
  const configuration = await discover(started);
  const begun = await begin(configuration);
  const { location } = await browser.get(begun.path);
  return finish(configuration, begun, location);
}
