// People: how they come, prove themselves and go, also all at once.

import { describe, expect, it, vi } from "vitest";
import { MAX_ACCOUNTS } from "../../../src/server/accounts/account-book.ts";
import { CLAIM_LIFETIME_MS, Claims } from "../../../src/server/accounts/claims.ts";
import { Accounts, type OneTimeCode } from "../../../src/server/accounts/index.ts";
import { INVITE_LIFETIME_MS } from "../../../src/server/accounts/invites.ts";
import { useStage } from "../../support/stage.ts";
import { within } from "../../support/wait.ts";
import { CHEAP, endingsOf, openAccounts, openWorld, PASSWORD } from "./setup.ts";

const stage = useStage();
const BEN = { name: "ben", isAdmin: false, namePatterns: ["ben-*"] };
const ADMIN = { name: "ada", isAdmin: true, namePatterns: null };

describe("Accounts.create", () => {
  it("makes an account that is found by id and by name in any case", async () => {
    const { accounts, now } = await openWorld(stage);
    const ben = await accounts.create({ ...BEN, name: "Ben" });
    expect(ben).toEqual({
      userId: expect.stringMatching(/^u_[\w-]{22}$/),
      name: "ben",
      isAdmin: false,
      namePatterns: ["ben-*"],
      hasPassword: false,
      outside: null,
      createdAt: now(),
    });
    expect([accounts.byId(ben.userId), accounts.byName("BEN"), accounts.all()]).toEqual([ben, ben, [ben]]);
    expect(await accounts.lookUp(ben.userId)).toEqual(ben);
  });

  it.each([
    ["", "it is empty"],
    ["__proto__", "a letter or a digit has to come first"],
    ["constructor", "programs take it for a word of their own"],
    ["a".repeat(33), "it has 33 characters, at most 32 fit"],
    ["bén", "only a-z, 0-9, dots, hyphens and underscores are allowed"],
    ["ben@ci", "only a-z, 0-9, dots, hyphens and underscores are allowed"],
    ["be n", "only a-z, 0-9, dots, hyphens and underscores are allowed"],
    ["K\u212Aben", "only a-z, 0-9, dots, hyphens and underscores are allowed"],
    ["ben/x", "only a-z, 0-9, dots, hyphens and underscores are allowed"],
  ])("refuses %j: %s", async (name, why) => {
    const { accounts, store } = await openWorld(stage);
    await expect(accounts.create({ ...BEN, name })).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: expect.stringContaining(why),
      hint: expect.stringContaining("1 to 32 of a-z"),
    });
    expect(await store.list("")).toEqual([]);
  });

  it("knows nobody by names that every object has", async () => {
    const { accounts } = await openWorld(stage);
    for (const name of [
      "__proto__",
      "constructor",
      "toString",
      "hasOwnProperty",
      "",
      "bén",
      "a b",
      "x".repeat(5_000),
    ]) {
      expect([accounts.byName(name), accounts.byId(name)]).toEqual([null, null]);
      expect(await accounts.lookUp(name)).toBeNull();
      expect(await accounts.checkPassword(name, PASSWORD)).toBeNull();
      await accounts.remove(name);
    }
  });

  it("calls nobody admin who is none", async () => {
    const { accounts } = await openWorld(stage);
    await expect(accounts.create({ ...BEN, name: "Admin" })).rejects.toMatchObject({ code: "DPX_USAGE" });
    const outside = { issuer: "https://id", subject: "1", name: "admin@example.com" };
    expect((await accounts.signInOutside({ ...outside, isAdmin: false })).name).toBe("admin-2");
    expect((await accounts.create({ ...BEN, name: "admin", isAdmin: true })).name).toBe("admin");
  });

  it("gives one name to one of a thousand who ask for it at once, on two nodes", async () => {
    const { accounts, store, now } = await openWorld(stage);
    const other = await openAccounts(stage, store, now);
    const asked = Array.from({ length: 1_000 }, (_, at) => (at % 2 === 0 ? accounts : other).create(BEN));
    expect(await endingsOf(asked)).toEqual(
      new Map([
        ["ok", 1],
        ["DPX_EXISTS", 999],
      ]),
    );
    expect(await store.list("account/")).toHaveLength(1);
    expect(await store.list("account-name/")).toHaveLength(1);
    await expect(accounts.create(BEN)).rejects.toMatchObject({
      code: "DPX_EXISTS",
      message: 'Cannot add "ben": there is a user of that name already',
    });
  });

  it("takes over a name whose account never came, but not within a minute", async () => {
    const { accounts, store, clock, now } = await openWorld(stage);
    await store.put("account-name/ben", { userId: "u_AAAAAAAAAAAAAAAAAAAAAA", at: now() });
    await expect(accounts.create(BEN)).rejects.toMatchObject({ code: "DPX_EXISTS" });
    clock.sleep(60_000);
    expect(await endingsOf(Array.from({ length: 10 }, () => accounts.create(BEN)))).toEqual(
      new Map([
        ["ok", 1],
        ["DPX_EXISTS", 9],
      ]),
    );
  });

  it("stops at its bound", async () => {
    const { store, now } = await openWorld(stage);
    const fields = { isAdmin: false, namePatterns: null, password: null, outside: null, createdAt: 0 };
    for (let at = 0; at < MAX_ACCOUNTS; at += 1) {
      await store.put(`account/u_${at}`, { ...fields, userId: `u_${at}`, name: `n${at}` });
    }
    const accounts = await openAccounts(stage, store, now);
    await expect(accounts.create(BEN)).rejects.toMatchObject({
      code: "DPX_LIMIT",
      message: 'Cannot add "ben": there are 5000 users already',
    });
  });
});

describe("Accounts.lookUpByName", () => {
  it("finds an account of which no word has come from the node that made it, and has it found by its id from then on", async () => {
    const { accounts, store, now } = await openWorld(stage);
    vi.spyOn(store, "watch").mockReturnValueOnce(() => {});
    const deaf = await openAccounts(stage, store, now);
    const { userId } = await accounts.create({ name: "ben", isAdmin: false, namePatterns: null });
    expect(deaf.byName("ben")).toBeNull();
    expect(await deaf.lookUpByName("Ben")).toMatchObject({ userId });
    expect(deaf.byId(userId)).toMatchObject({ name: "ben" });
    await accounts.remove(userId);
    expect(await deaf.lookUpByName("ben")).toBeNull();
    expect(await deaf.lookUpByName("ben/\u00e9")).toBeNull();
  });
});

describe("Accounts.remove", () => {
  it("takes invites, tokens and the name along, and a new account of that name has nothing of it", async () => {
    const { accounts, tokens, store } = await openWorld(stage);
    const ben = await accounts.create(BEN);
    const { code } = await accounts.invite(ben.userId);
    const { secret } = await tokens.create(ben.userId, { name: "ci", namePatterns: null, expiresAt: null });
    await accounts.remove(ben.userId);
    expect(await store.list("")).toEqual([]);
    expect([accounts.byName("ben"), await tokens.find(secret), await accounts.invited(code)]).toEqual([
      null,
      null,
      null,
    ]);
    await accounts.remove(ben.userId);
    const again = await accounts.create(BEN);
    expect(again.userId).not.toBe(ben.userId);
    expect(await tokens.find(secret)).toBeNull();
  });

  it("leaves the server to no admin who has yet to accept an invite", async () => {
    const { accounts } = await openWorld(stage);
    const claim = (await accounts.newClaim())?.code ?? "";
    const ada = await accounts.claim(claim, { name: "ada", password: PASSWORD });
    const bob = await accounts.create({ ...ADMIN, name: "bob" });
    await expect(accounts.remove(ada.userId)).rejects.toMatchObject({ code: "DPX_FORBIDDEN" });
    await accounts.acceptInvite((await accounts.invite(bob.userId)).code, PASSWORD);
    await accounts.remove(ada.userId);
    expect(accounts.all().map(({ name }) => name)).toEqual(["bob"]);
  });

  it("refuses to remove the last admin, and never leaves none when two remove each other", async () => {
    const { accounts, store, now } = await openWorld(stage);
    const other = await openAccounts(stage, store, now);
    const ada = await accounts.create(ADMIN);
    await accounts.create(BEN);
    await expect(accounts.remove(ada.userId)).rejects.toMatchObject({
      code: "DPX_FORBIDDEN",
      message: 'Cannot remove "ada": no other admin would be left',
    });
    for (let round = 0; round < 20; round += 1) {
      const bob = await accounts.create({ ...ADMIN, name: "bob" });
      const first = accounts.all().find(({ isAdmin, name }) => isAdmin && name !== "bob");
      await Promise.allSettled([accounts.remove(bob.userId), other.remove(first?.userId ?? "")]);
      const admins = (await store.list("account/")).filter(({ value }) =>
        JSON.stringify(value).includes('"isAdmin":true'),
      );
      expect(admins.length).toBeGreaterThanOrEqual(1);
      await accounts.create({ ...ADMIN, name: `ada-${round}` });
      if (accounts.byName("bob") !== null) await accounts.remove(bob.userId);
    }
  });
});

describe("Accounts.acceptInvite", () => {
  it("sets the password once, keeps only a digest of the code, and ends the invite before", async () => {
    const { accounts, store } = await openWorld(stage);
    const ben = await accounts.create(BEN);
    const before = await accounts.invite(ben.userId);
    const { code } = await accounts.invite(ben.userId);
    expect(code).toMatch(/^[\w-]{43}$/);
    expect(JSON.stringify(await store.list(""))).not.toContain(code);
    expect([await accounts.invited(before.code), await accounts.invited(code)]).toEqual([null, ben]);
    expect(await accounts.acceptInvite(code, PASSWORD)).toEqual({ ...ben, hasPassword: true });
    expect(JSON.stringify(await store.list(""))).not.toContain(PASSWORD);
    expect(await accounts.checkPassword("Ben", PASSWORD)).toMatchObject({ userId: ben.userId });
    await expect(accounts.acceptInvite(code, PASSWORD)).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot accept the invite: it was used, has ended, or never was",
    });
  });

  it("lets one of many accept, and leaves the invite to whoever's password may not be one", async () => {
    const { accounts } = await openWorld(stage);
    const ben = await accounts.create(BEN);
    const { code } = await accounts.invite(ben.userId);
    await expect(accounts.acceptInvite(code, "short")).rejects.toMatchObject({ code: "DPX_USAGE" });
    const many = Array.from({ length: 100 }, (_, at) => accounts.acceptInvite(code, `${PASSWORD} ${at}`));
    expect(await endingsOf(many)).toEqual(
      new Map([
        ["ok", 1],
        ["DPX_AUTH_INVALID", 99],
      ]),
    );
  });

  it("ends after a week", async () => {
    const { accounts, clock } = await openWorld(stage);
    const { code, expiresAt } = await accounts.invite((await accounts.create(BEN)).userId);
    expect(expiresAt).toBe(clock.now() + INVITE_LIFETIME_MS);
    clock.sleep(INVITE_LIFETIME_MS);
    expect(await accounts.invited(code)).toBeNull();
    await expect(accounts.acceptInvite(code, PASSWORD)).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
  });

  it.each(["", "x", "__proto__", "é".repeat(43), "a".repeat(43), "/".repeat(1_000)])(
    "knows no code %j",
    async (code) => {
      const { accounts } = await openWorld(stage);
      await expect(accounts.acceptInvite(code, PASSWORD)).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
      await expect(accounts.claim(code, { name: "ada", password: PASSWORD })).rejects.toMatchObject({
        code: "DPX_AUTH_INVALID",
      });
    },
  );

  it("invites nobody who is not there", async () => {
    const { accounts } = await openWorld(stage);
    await expect(accounts.invite("u_AAAAAAAAAAAAAAAAAAAAAA")).rejects.toMatchObject({ code: "DPX_NOT_FOUND" });
  });
});

async function newClaim(accounts: Accounts): Promise<OneTimeCode> {
  const claim = await accounts.newClaim();
  if (claim === null) throw new Error("There is an admin already");
  return claim;
}

describe("Accounts.claim", () => {
  it("makes one admin of a hundred who claim at once, and then there is no claim", async () => {
    const { accounts, store, now } = await openWorld(stage);
    const other = await openAccounts(stage, store, now);
    const { code = "" } = (await accounts.newClaim()) ?? {};
    expect(JSON.stringify(await store.list(""))).not.toContain(code);
    const claims = Array.from({ length: 100 }, (_, at) =>
      (at % 2 === 0 ? accounts : other).claim(code, { name: `ada${at}`, password: PASSWORD }),
    );
    expect(await endingsOf(claims)).toEqual(
      new Map([
        ["ok", 1],
        ["DPX_AUTH_INVALID", 99],
      ]),
    );
    expect(accounts.all()).toEqual([expect.objectContaining({ isAdmin: true, hasPassword: true })]);
    expect([await accounts.isClaim(code), await accounts.newClaim(), await store.get("claim")]).toEqual([
      ...[false, null, null],
    ]);
  });

  it("ends when another one is made, and after an hour", async () => {
    const { accounts, clock } = await openWorld(stage);
    const first = (await accounts.newClaim())?.code ?? "";
    expect(await accounts.isClaim(first)).toBe(true);
    const second = (await accounts.newClaim())?.code ?? "";
    expect([await accounts.isClaim(first), await accounts.isClaim(second)]).toEqual([false, true]);
    await expect(accounts.claim(first, { name: "ada", password: PASSWORD })).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
    });
    clock.sleep(3_600_000);
    await expect(accounts.claim(second, { name: "ada", password: PASSWORD })).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot claim this server: the link was used, has ended, or never was",
    });
    expect(accounts.all()).toEqual([]);
  });

  it("ends once an admin comes by another way", async () => {
    const { accounts } = await openWorld(stage);
    const code = (await accounts.newClaim())?.code ?? "";
    await accounts.create(BEN);
    expect(await accounts.isClaim(code)).toBe(true);
    await accounts.signInOutside({ issuer: "https://id", subject: "1", name: "ada", isAdmin: true });
    expect([await accounts.isClaim(code), await accounts.newClaim()]).toEqual([false, null]);
    await expect(accounts.claim(code, { name: "eve", password: PASSWORD })).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
    });
  });

  it("is told to have ended when it was used, not when it was put back", async () => {
    const { accounts } = await openWorld(stage);
    await accounts.create(BEN);
    const claim = await newClaim(accounts);
    const ended = vi.fn();
    const whenEnded = accounts.claimEnded(claim).then(ended);
    await expect(accounts.claim(claim.code, { name: "ben", password: PASSWORD })).rejects.toThrow();
    expect(await accounts.isClaim(claim.code)).toBe(true);
    expect(ended).not.toHaveBeenCalled();
    await accounts.claim(claim.code, { name: "ada", password: PASSWORD });
    await within(whenEnded, 5_000, "the end");
  });

  it("is told to have ended when there is another one, and when its time is over", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    stage.defer(() => vi.useRealTimers());
    const { accounts } = await openWorld(stage);
    const first = accounts.claimEnded(await newClaim(accounts));
    const second = accounts.claimEnded(await newClaim(accounts));
    await first;
    vi.advanceTimersByTime(CLAIM_LIFETIME_MS);
    await second;
  });

  it("is forgotten once an admin was added", async () => {
    const { accounts, store } = await openWorld(stage);
    await accounts.newClaim();
    await accounts.create(ADMIN);
    expect(await store.get("claim")).toBeNull();
  });

  it("stays good for whoever asked for what cannot be", async () => {
    const { accounts } = await openWorld(stage);
    await accounts.create(BEN);
    const code = (await accounts.newClaim())?.code ?? "";
    const claim = (name: string, password: string) => accounts.claim(code, { name, password });
    await expect(claim("ben", PASSWORD)).rejects.toMatchObject({ code: "DPX_EXISTS" });
    await expect(claim("__proto__", PASSWORD)).rejects.toMatchObject({ code: "DPX_USAGE" });
    await expect(claim("ada", "short")).rejects.toMatchObject({ code: "DPX_USAGE" });
    expect(await claim("ada", PASSWORD)).toMatchObject({ isAdmin: true, namePatterns: null });
  });
});

describe("Claims", () => {
  it("gives the claim to one of all who take it, and a wrong code takes nothing", async () => {
    const { store, now } = await openWorld(stage);
    const claims = new Claims({ store, now });
    const { code } = await claims.make();
    expect(await claims.take("a".repeat(43))).toBeNull();
    const taken = await Promise.all(Array.from({ length: 100 }, () => claims.take(code)));
    expect(taken.filter((claim) => claim !== null)).toHaveLength(1);
  });

  it("looks at its end itself, and puts back only what has no successor", async () => {
    const { store, now, clock } = await openWorld(stage);
    const claims = new Claims({ store, now });
    const { code, expiresAt } = await claims.make();
    const kept = await store.get("claim");
    const taken = await claims.take(code);
    if (taken === null) throw new Error("not taken");
    await claims.putBack(taken);
    expect([await store.get("claim"), await claims.isOpen(code)]).toEqual([kept, true]);
    const next = await claims.make();
    await claims.putBack(taken);
    expect([await claims.isOpen(code), await claims.isOpen(next.code)]).toEqual([false, true]);
    await store.put("claim", kept);
    clock.sleep(expiresAt - now() - 1);
    expect(await claims.isOpen(code)).toBe(true);
    clock.sleep(1);
    expect([await claims.isOpen(code), await claims.take(code)]).toEqual([false, null]);
  });
});

describe("Accounts.checkPassword", () => {
  it("says no to a wrong one, to accounts without one, and to those that are gone on another node", async () => {
    const { accounts, store, now } = await openWorld(stage);
    const ben = await accounts.create(BEN);
    expect(await accounts.checkPassword("ben", PASSWORD)).toBeNull();
    await accounts.acceptInvite((await accounts.invite(ben.userId)).code, PASSWORD);
    expect(await accounts.checkPassword("ben", `${PASSWORD}.`)).toBeNull();
    expect(await accounts.checkPassword("eve", PASSWORD)).toBeNull();
    const other = await openAccounts(stage, store, now);
    await other.remove(ben.userId);
    expect(await accounts.checkPassword("ben", PASSWORD)).toBeNull();
  });

  it("hashes anew when the work has grown since", async () => {
    const { accounts, store, now } = await openWorld(stage);
    const ben = await accounts.create(BEN);
    await accounts.acceptInvite((await accounts.invite(ben.userId)).code, PASSWORD);
    const later = await Accounts.open({ store, now, passwordCost: { ...CHEAP, logN: 6 } });
    stage.defer(() => later.close());
    expect(await later.checkPassword("ben", "another password")).toBeNull();
    expect(JSON.stringify(await store.list("account/"))).toContain("ln=4,");
    expect(await later.checkPassword("ben", PASSWORD)).not.toBeNull();
    expect(JSON.stringify(await store.list("account/"))).toContain("ln=6,");
    expect(await later.checkPassword("ben", PASSWORD)).not.toBeNull();
  });
});

describe("Accounts.changePassword", () => {
  it("asks for the old one and holds the new one to the rules", async () => {
    const { accounts } = await openWorld(stage);
    const { userId } = await accounts.create(BEN);
    expect(await accounts.changePassword(userId, PASSWORD, "a new password")).toBe(false);
    await accounts.acceptInvite((await accounts.invite(userId)).code, PASSWORD);
    expect(await accounts.changePassword(userId, "wrong old password", "a new password")).toBe(false);
    await expect(accounts.changePassword(userId, PASSWORD, "short")).rejects.toMatchObject({ code: "DPX_USAGE" });
    expect(await accounts.changePassword(userId, PASSWORD, "a new password")).toBe(true);
    expect(await accounts.checkPassword("ben", PASSWORD)).toBeNull();
    expect(await accounts.checkPassword("ben", "a new password")).toMatchObject({ userId });
    expect(await accounts.changePassword("u_AAAAAAAAAAAAAAAAAAAAAA", PASSWORD, "a new password")).toBe(false);
  });

  it("lets one of two changes from the same old one win", async () => {
    const { accounts } = await openWorld(stage);
    const { userId } = await accounts.create(BEN);
    await accounts.acceptInvite((await accounts.invite(userId)).code, PASSWORD);
    const changes = ["first new password", "second new password"].map((fresh) =>
      accounts.changePassword(userId, PASSWORD, fresh),
    );
    expect((await Promise.all(changes)).toSorted()).toEqual([false, true]);
  });
});

describe("Accounts.signInOutside", () => {
  const outside = { issuer: "https://id.example.com", subject: "4711", name: "Ben.Müller@example.com", isAdmin: false };

  it("makes one account of any number of sign-ins at once, and finds it again by its subject only", async () => {
    const { accounts, store, now } = await openWorld(stage);
    const other = await openAccounts(stage, store, now);
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? accounts : other).signInOutside(outside)),
    );
    expect(new Set(all.map(({ userId }) => userId)).size).toBe(1);
    expect(accounts.all()).toEqual([
      expect.objectContaining({ name: "ben.muller", outside: { issuer: outside.issuer, subject: "4711" } }),
    ]);
    expect(accounts.byOutside(outside.issuer, "4711")?.name).toBe("ben.muller");
    expect(accounts.byOutside("https://evil.example.com", "4711")).toBeNull();
    expect((await accounts.signInOutside({ ...outside, name: "renamed" })).name).toBe("ben.muller");
  });

  it("never takes an account for its name, but finds another name", async () => {
    const { accounts } = await openWorld(stage);
    await accounts.create({ ...BEN, name: "ben.muller" });
    const first = await accounts.signInOutside(outside);
    const second = await accounts.signInOutside({ ...outside, subject: "4712" });
    const long = await accounts.signInOutside({ ...outside, subject: "4713", name: "x".repeat(5_000) });
    const longer = await accounts.signInOutside({ ...outside, subject: "4714", name: "x".repeat(5_000) });
    expect([first, second, long, longer].map(({ name }) => name)).toEqual([
      ...["ben.muller-2", "ben.muller-3", "x".repeat(32), `${"x".repeat(30)}-2`],
    ]);
  });

  it.each([
    ["__proto__", "proto"],
    ["constructor", "user"],
    ["", "user"],
    ["日本", "user"],
    ["  Ada  Lovelace ", "ada-lovelace"],
    ["../../etc/passwd", "etc-passwd"],
    ["<script>", "script"],
  ])("calls %j %j", async (name, made) => {
    const { accounts } = await openWorld(stage);
    expect((await accounts.signInOutside({ ...outside, name })).name).toBe(made);
  });

  it("follows the provider's word on who is an admin", async () => {
    const { accounts } = await openWorld(stage);
    const { userId } = await accounts.signInOutside(outside);
    await accounts.signInOutside({ ...outside, isAdmin: true });
    expect(accounts.byId(userId)?.isAdmin).toBe(true);
    await accounts.signInOutside(outside);
    expect(accounts.byId(userId)?.isAdmin).toBe(false);
  });

  it("makes a new account for somebody who was removed", async () => {
    const { accounts, store } = await openWorld(stage);
    const { userId } = await accounts.signInOutside(outside);
    await accounts.remove(userId);
    expect(await store.list("")).toEqual([]);
    expect((await accounts.signInOutside(outside)).userId).not.toBe(userId);
  });

  it("lets no account come back that is removed while its person signs in", async () => {
    const { accounts, store } = await openWorld(stage);
    const { userId } = await accounts.signInOutside(outside);
    const get = store.get.bind(store);
    let isRemoved = false;
    vi.spyOn(store, "get").mockImplementation(async (key) => {
      // The sign-in knows by now whose account it is, and looks for it.
      if (key === `account/${userId}` && !isRemoved) {
        isRemoved = true;
        await accounts.remove(userId);
      }
      return get(key);
    });
    await expect(accounts.signInOutside(outside)).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot let you in: your account was removed at this moment",
    });
    expect([accounts.all(), await store.list("")]).toEqual([[], []]);
  });

  it.each([{ subject: "" }, { subject: "x".repeat(256) }, { issuer: "x".repeat(3_000) }])(
    "refuses %j",
    async (wrong) => {
      const { accounts } = await openWorld(stage);
      await expect(accounts.signInOutside({ ...outside, ...wrong })).rejects.toMatchObject({
        code: "DPX_AUTH_INVALID",
      });
    },
  );
});
