// Who may come in by which token, and what they then are.

import { describe, expect, it, vi } from "vitest";
import { Accounts } from "../../../src/server/accounts/index.ts";
import { AccountAuthenticator, createIdTokenVerifier } from "../../../src/server/identity/index.ts";
import { useStage } from "../../support/stage.ts";
import { openWorld, type World } from "../accounts/setup.ts";
import { AUDIENCE, claimsAt, ISSUER, Provider } from "./provider.ts";

const stage = useStage();
const ADMIN_TOKEN = "an-admin-token-of-this-server";
const REQUEST = { method: "GET", host: "tunnel.example.com", path: "/control" };

interface Door extends World {
  readonly provider: Provider;
  readonly authenticator: AccountAuthenticator;
  readonly userId: string;
  idToken(userId?: string): Promise<string>;
}

async function openDoor(options: { adminToken?: string | null; canSignIn?: boolean } = {}): Promise<Door> {
  const { adminToken = ADMIN_TOKEN, canSignIn = true } = options;
  const world = await openWorld(stage);
  const { accounts, tokens, bans, now } = world;
  const provider = await Provider.make("one");
  const verifier = createIdTokenVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: provider.keys, now });
  const idTokens = canSignIn ? verifier : null;
  const authenticator = new AccountAuthenticator({ accounts, tokens, idTokens, adminToken, admission: bans });
  const { userId } = await accounts.create({ name: "ben", isAdmin: true, namePatterns: ["ben-*", "cat*"] });
  const idToken = (sub = userId) => provider.sign({ ...claimsAt(now()), sub });
  return { ...world, provider, authenticator, userId, idToken };
}

describe("AccountAuthenticator", () => {
  it("knows a person by the ID token, with the account's role and patterns, until it ends", async () => {
    const { authenticator, idToken, userId, now } = await openDoor();
    expect(await authenticator.authenticate({ ...REQUEST, authorization: `Bearer ${await idToken()}` })).toEqual({
      ownerId: `user:${userId}`,
      ownerName: "ben",
      isAdmin: true,
      namePatterns: [["ben-*", "cat*"]],
      expiresAt: now() + 3_600_000,
      proof: { kind: "sign-in" },
    });
  });

  it("knows a machine as its owner, within both lists of patterns, and never as an admin", async () => {
    const { authenticator, tokens, userId, now } = await openDoor();
    const expiresAt = now() + 1_000;
    const { token, secret } = await tokens.create(userId, { name: "ci", namePatterns: ["cat1"], expiresAt });
    expect(await authenticator.authenticateToken(secret)).toEqual({
      ownerId: `user:${userId}`,
      ownerName: "ben@ci",
      isAdmin: false,
      namePatterns: [["ben-*", "cat*"], ["cat1"]],
      expiresAt,
      proof: { kind: "machine-token", tokenId: token.tokenId },
    });
    const free = await tokens.create(userId, { name: "free", namePatterns: null, expiresAt: null });
    expect(await authenticator.authenticateToken(free.secret)).toMatchObject({
      namePatterns: [["ben-*", "cat*"]],
      expiresAt: null,
    });
  });

  it.each([ADMIN_TOKEN, "dpx_an_admin_token_that_looks_like_a_machine", "an.admintokenlike.idtoken"])(
    "knows the admin token %j whatever it looks like",
    async (adminToken) => {
      const { authenticator } = await openDoor({ adminToken });
      expect(await authenticator.authenticateToken(adminToken)).toMatchObject({
        ownerId: "admin",
        isAdmin: true,
        namePatterns: [],
        proof: { kind: "admin-token" },
      });
    },
  );

  it.each([undefined, "", "Basic YWRtaW46eA==", "DPoP a.b.c", "Bearer", "Bearer  ", "Bearer a b", "bearer\ta"])(
    "asks for a sign-in when there is %j",
    async (authorization) => {
      const { authenticator } = await openDoor();
      await expect(authenticator.authenticate({ ...REQUEST, authorization })).rejects.toMatchObject({
        code: "DPX_AUTH_REQUIRED",
        message: "Cannot let you in: this server asks who you are",
        hint: expect.stringContaining("duplexity login SERVER"),
      });
      expect(authenticator.challenge).toBe('Bearer realm="duplexity"');
    },
  );

  it.each([
    ["x", "the token is not one of this server's"],
    [`${ADMIN_TOKEN}x`, "the token is not one of this server's"],
    ["__proto__", "the token is not one of this server's"],
    ["x".repeat(4_097), "the token is longer than any"],
    ["a.b", "the token is not one of this server's"],
    ["a.b.c", "the sign-in does not hold"],
    ["dpx_", "the machine token is unknown, revoked or has ended"],
    [`dpx_${"a".repeat(43)}`, "the machine token is unknown, revoked or has ended"],
  ])("refuses %j: %s", async (token, why) => {
    const { authenticator } = await openDoor();
    const refusal: unknown = await authenticator.authenticateToken(token).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: expect.stringContaining(why),
      hint: expect.stringContaining("duplexity "),
    });
    if (token.length > 8) expect(JSON.stringify(refusal) + String(refusal)).not.toContain(token);
  });

  it("refuses what has ended: sign-ins, tokens, accounts", async () => {
    const { authenticator, tokens, accounts, clock, userId, idToken } = await openDoor();
    const { secret } = await tokens.create(userId, { name: "ci", namePatterns: null, expiresAt: clock.now() + 1_000 });
    const signIn = await idToken();
    clock.sleep(1_000);
    await expect(authenticator.authenticateToken(secret)).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
    clock.sleep(3_660_000);
    await expect(authenticator.authenticateToken(signIn)).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot let you in: the sign-in has ended",
      hint: "Sign in again: duplexity login SERVER",
    });
    const fresh = await idToken();
    await accounts.create({ name: "ada", isAdmin: true, namePatterns: null });
    await accounts.remove(userId);
    await expect(authenticator.authenticateToken(fresh)).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot let you in: your account is not there any more",
    });
  });

  it("refuses ID tokens where nobody can sign in, and the admin token where there is none", async () => {
    const { authenticator, idToken } = await openDoor({ canSignIn: false, adminToken: null });
    await expect(authenticator.authenticateToken(await idToken())).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot let you in: nobody can sign in at this server",
    });
    await expect(authenticator.authenticateToken(ADMIN_TOKEN)).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
  });

  it("lets nobody in who is banned, by whatever token", async () => {
    const { authenticator, tokens, bans, userId, idToken, now } = await openDoor();
    const { secret } = await tokens.create(userId, { name: "ci", namePatterns: null, expiresAt: null });
    const subject = { kind: "user", userId, name: "ben" } as const;
    await bans.add({ subject, by: "ada", reason: "spam", at: now(), until: null });
    for (const token of [secret, await idToken()]) {
      await expect(authenticator.authenticateToken(token)).rejects.toMatchObject({
        code: "DPX_BANNED",
        message: "Cannot let you in: ben is banned by ada for good: spam",
      });
    }
    expect(await authenticator.authenticateToken(ADMIN_TOKEN)).toMatchObject({ ownerId: "admin" });
  });

  it("knows a person whose account another node has made a moment ago", async () => {
    const { store, now, tokens, bans, provider } = await openDoor();
    // A node to which no word of changes comes.
    vi.spyOn(store, "watch").mockReturnValueOnce(() => {});
    const deaf = await Accounts.open({ store, now });
    stage.defer(() => deaf.close());
    const verifier = createIdTokenVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: provider.keys, now });
    const options = { accounts: deaf, tokens, idTokens: verifier, adminToken: null, admission: bans };
    const maker = await Accounts.open({ store, now });
    stage.defer(() => maker.close());
    const { userId } = await maker.create({ name: "eve", isAdmin: false, namePatterns: null });
    expect(deaf.byId(userId)).toBeNull();
    const token = await provider.sign({ ...claimsAt(now()), sub: userId });
    const authenticator = new AccountAuthenticator(options);
    const identity = await authenticator.authenticateToken(token);
    expect(identity).toMatchObject({ ownerName: "eve" });
    // And may stay when its hub looks at it.
    expect(authenticator.current(identity)).toEqual(identity);
  });
});

describe("AccountAuthenticator.current", () => {
  it("answers a person's identity as it is now, and null once the account is gone", async () => {
    const { authenticator, accounts, idToken } = await openDoor();
    const outside = { issuer: "https://id.example.com", subject: "1", name: "eve" };
    const eve = await accounts.signInOutside({ ...outside, isAdmin: false });
    const identity = await authenticator.authenticateToken(await idToken(eve.userId));
    expect(authenticator.current(identity)).toEqual(identity);
    await accounts.signInOutside({ ...outside, isAdmin: true });
    expect(authenticator.current(identity)).toEqual({ ...identity, isAdmin: true });
    await accounts.signInOutside({ ...outside, isAdmin: false });
    await accounts.remove(eve.userId);
    expect(authenticator.current(identity)).toBeNull();
  });

  it("answers null for a machine whose token is revoked, has ended, or whose owner is gone", async () => {
    const { authenticator, accounts, tokens, clock, userId } = await openDoor();
    await accounts.create({ name: "ada", isAdmin: true, namePatterns: null });
    const make = async (name: string, expiresAt: number | null) => {
      const { token, secret } = await tokens.create(userId, { name, namePatterns: null, expiresAt });
      return { tokenId: token.tokenId, identity: await authenticator.authenticateToken(secret) };
    };
    const [short, revoked, orphan] = [
      await make("a", clock.now() + 1_000),
      await make("b", null),
      await make("c", null),
    ];
    for (const { identity } of [short, revoked, orphan]) expect(authenticator.current(identity)).toEqual(identity);
    const ada = accounts.byName("ada")?.userId ?? "";
    expect(authenticator.current({ ...orphan.identity, ownerId: `user:${ada}` })).toBeNull();
    clock.sleep(1_000);
    await tokens.revoke(revoked.tokenId);
    const current = () => [short, revoked, orphan].map(({ identity }) => authenticator.current(identity));
    expect(current()).toEqual([null, null, orphan.identity]);
    await accounts.remove(userId);
    expect(current()).toEqual([null, null, null]);
  });

  it("leaves the end of a sign-in by the clock to whoever asks", async () => {
    const { authenticator, clock, idToken } = await openDoor();
    const identity = await authenticator.authenticateToken(await idToken());
    clock.sleep(7_200_000);
    expect(authenticator.current(identity)).toEqual(identity);
  });

  it("answers the admin token's identity only while there is one, and no key's", async () => {
    const [door, other] = [await openDoor(), await openDoor({ adminToken: null })];
    const admin = await door.authenticator.authenticateToken(ADMIN_TOKEN);
    expect([door.authenticator.current(admin), other.authenticator.current(admin)]).toEqual([admin, null]);
    expect(door.authenticator.current({ ...admin, proof: { kind: "key" } })).toBeNull();
  });
});
