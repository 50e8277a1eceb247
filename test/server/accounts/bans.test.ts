// Bans at the door.

import { describe, expect, it } from "vitest";
import { MAX_BANS } from "../../../src/server/accounts/bans.ts";
import { type Ban, type BanSubject, Bans } from "../../../src/server/accounts/index.ts";
import { type Identity, ownerIdOfUser } from "../../../src/server/identity/index.ts";
import { useStage } from "../../support/stage.ts";
import { openWorld } from "./setup.ts";

const stage = useStage();
const USER_ID = "u_AAAAAAAAAAAAAAAAAAAAAA";
const BEN: Identity = {
  ...{ ownerId: ownerIdOfUser(USER_ID), ownerName: "ben", isAdmin: false, namePatterns: [], expiresAt: null },
  proof: { kind: "sign-in" },
};
const EVE: Identity = { ...BEN, ownerId: ownerIdOfUser("u_BBBBBBBBBBBBBBBBBBBBBB"), ownerName: "eve" };
const USER: BanSubject = { kind: "user", userId: USER_ID, name: "ben" };
const HOSTNAME: BanSubject = { kind: "hostname", hostname: "cat1.example.com" };
const CLIENT: BanSubject = { kind: "client", clientId: "client-0001" };

function ban(subject: BanSubject, until: number | null = null): Ban {
  return { subject, by: "ada", reason: "spam", at: 1_800_000_000_000, until };
}

describe("Bans.check", () => {
  it("refuses a user on all their ways, and nobody else", async () => {
    const { bans } = await openWorld(stage);
    await bans.add(ban(USER, 1_800_000_600_000));
    expect(() => bans.check(BEN, {})).toThrow(
      expect.objectContaining({
        code: "DPX_BANNED",
        message: "Cannot let you in: ben is banned by ada until 2027-01-15T08:10:00.000Z: spam",
      }),
    );
    expect(() => bans.check({ ...BEN, ownerName: "ben@ci" }, { clientId: "client-0002" })).toThrow("banned by ada");
    bans.check(EVE, { clientId: "client-0001", hostname: "cat1.example.com" });
    bans.check({ ...EVE, ownerId: "admin" }, {});
    bans.check({ ...EVE, ownerId: USER_ID }, {});
  });

  it("refuses a hostname in any spelling, whoever asks", async () => {
    const { bans } = await openWorld(stage);
    await bans.add(ban({ kind: "hostname", hostname: "Cat1.Example.COM." }));
    for (const hostname of ["cat1.example.com", "CAT1.example.com", "cat1.example.com."]) {
      expect(() => bans.check(EVE, { hostname })).toThrow(
        expect.objectContaining({
          code: "DPX_BANNED",
          message: 'Cannot open "cat1.example.com": "cat1.example.com" is banned by ada for good: spam',
        }),
      );
    }
    bans.check(EVE, { hostname: "cat2.example.com" });
  });

  it("refuses a client by its id", async () => {
    const { bans } = await openWorld(stage);
    await bans.add({ ...ban(CLIENT), reason: "" });
    expect(() => bans.check(EVE, { clientId: "client-0001" })).toThrow(
      /^Cannot let you in: client client-0001 is banned by ada for good$/,
    );
    bans.check(EVE, { clientId: "client-0002" });
    for (const clientId of ["__proto__", "../user", "constructor"]) bans.check(EVE, { clientId });
  });

  it("ends by the clock, without a timer", async () => {
    const { bans, clock } = await openWorld(stage);
    await bans.add(ban(USER, clock.now() + 1_000));
    clock.sleep(999);
    expect(() => bans.check(BEN, {})).toThrow("banned");
    clock.sleep(1);
    bans.check(BEN, {});
    expect(bans.all()).toEqual([]);
  });
});

describe("Bans.add", () => {
  it("replaces the ban of the same subject, and tells listeners here and on another node", async () => {
    const { bans, store, now } = await openWorld(stage);
    const other = await Bans.open({ store, now });
    stage.defer(() => other.close());
    const [here, there]: [Ban[], Ban[]] = [[], []];
    const stop = bans.onAdded((added) => here.push(added));
    other.onAdded((added) => there.push(added));
    await bans.add(ban(USER));
    const shorter = ban(USER, now() + 1_000);
    await bans.add(shorter);
    expect([here, bans.all()]).toEqual([[ban(USER), shorter], [shorter]]);
    await expect.poll(() => there.at(-1)).toEqual(shorter);
    expect(() => other.check(BEN, {})).toThrow("banned");
    stop();
    await bans.add(ban(HOSTNAME));
    expect(here).toHaveLength(2);
    const late: Ban[] = [];
    const third = await Bans.open({ store, now });
    stage.defer(() => third.close());
    third.onAdded((added) => late.push(added));
    expect([third.all().length, late]).toEqual([2, []]);
  });

  it.each<[BanSubject, string]>([
    [{ kind: "user", userId: "ben", name: "ben" }, "that is not a user's id"],
    [{ kind: "user", userId: "__proto__", name: "__proto__" }, "that is not a user's id"],
    [{ kind: "hostname", hostname: "cat 1" }, "that is not a hostname"],
    [{ kind: "hostname", hostname: "" }, "that is not a hostname"],
    [{ kind: "hostname", hostname: "__proto__.example.com" }, "that is not a hostname"],
    [{ kind: "hostname", hostname: "a.".repeat(200) }, "that is not a hostname"],
    [{ kind: "client", clientId: "../../x" }, "that is not a clientId"],
  ])("refuses %j", async (subject, why) => {
    const { bans, store } = await openWorld(stage);
    await expect(bans.add(ban(subject))).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: expect.stringContaining(why),
    });
    expect(await store.list("")).toEqual([]);
  });

  it("refuses a ban that is over, and bounds the reason", async () => {
    const { bans, now } = await openWorld(stage);
    for (const until of [now(), 0, Number.NaN]) {
      await expect(bans.add(ban(USER, until))).rejects.toMatchObject({ code: "DPX_USAGE" });
    }
    await bans.add({ ...ban(USER), reason: `\u001b[31m${"x".repeat(1_000)}` });
    expect(bans.all()[0]?.reason).toBe(`[31m${"x".repeat(251)}…`);
  });

  it("stops at its bound, and still changes what there is", async () => {
    const { store, now } = await openWorld(stage);
    for (let at = 0; at < MAX_BANS; at += 1) {
      const hostname = `n${at}.example.com`;
      await store.put(`ban/hostname/${hostname}`, {
        ...{ subject: { kind: "hostname", hostname }, by: "ada", reason: "", at, until: null },
      });
    }
    const bans = await Bans.open({ store, now });
    stage.defer(() => bans.close());
    await expect(bans.add(ban(USER))).rejects.toMatchObject({
      code: "DPX_LIMIT",
      message: "Cannot ban ben: there are 5000 bans already",
    });
    await bans.add(ban({ kind: "hostname", hostname: "n1.example.com" }));
    await bans.lift("n0");
    await bans.add(ban(USER));
  });
});

describe("Bans.lift", () => {
  it.each([
    ["ben", [USER]],
    ["BEN", [USER]],
    [USER_ID, [USER]],
    ["user:Ben", [USER]],
    ["user:cat1", []],
    ["cat1.example.com", [HOSTNAME]],
    ["Cat1", [HOSTNAME]],
    ["client-0001", [CLIENT]],
    ["example.com", []],
    ["__proto__", []],
    ["", []],
  ])("of %j lifts %j", async (who, subjects) => {
    const { bans, store } = await openWorld(stage);
    for (const subject of [USER, HOSTNAME, CLIENT]) await bans.add(ban(subject));
    expect(await bans.lift(who)).toEqual(subjects.map((subject) => ban(subject)));
    expect(await store.list("ban/")).toHaveLength(3 - subjects.length);
    expect(bans.all()).toHaveLength(3 - subjects.length);
    expect(await bans.lift(who)).toEqual([]);
  });
});
