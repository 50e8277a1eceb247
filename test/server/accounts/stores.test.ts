// Accounts on the stores that outlive a process: one name is one person's, one claim makes one admin, also between two
// nodes; and a node that starts again finds what was confirmed.

import { describe, expect, it } from "vitest";
import { Bans, MachineTokens } from "../../../src/server/accounts/index.ts";
import { openStore, type Store } from "../../../src/server/store/index.ts";
import { startRedis } from "../../support/redis.ts";
import { useStage } from "../../support/stage.ts";
import { endingsOf, openAccounts, PASSWORD } from "./setup.ts";

const stage = useStage();
const BEN = { name: "ben", isAdmin: false, namePatterns: ["ben-*"] };

async function onRedis(): Promise<() => Promise<Store>> {
  const port = await startRedis(stage);
  return () => openStore({ kind: "redis", url: `redis://127.0.0.1:${port}` });
}

async function inFolder(): Promise<() => Promise<Store>> {
  const path = await stage.folder("accounts");
  return () => openStore({ kind: "folder", path });
}

describe.each([
  ["redis", onRedis, 2],
  ["folder", inFolder, 1],
] as const)("Accounts on %s", (_kind, begin, nodes) => {
  it("gives one name to one of 200, and one claim to one of 100", async () => {
    const open = await begin();
    const stores = await Promise.all(Array.from({ length: nodes }, open));
    for (const store of stores) stage.defer(() => store.close());
    const all = await Promise.all(stores.map((store) => openAccounts(stage, store, Date.now)));
    const pick = (at: number) => all[at % nodes] ?? expect.unreachable();
    const creates = Array.from({ length: 200 }, (_, at) => pick(at).create(BEN));
    expect([...(await endingsOf(creates))].toSorted()).toEqual([
      ["DPX_EXISTS", 199],
      ["ok", 1],
    ]);
    const code = (await pick(0).newClaim())?.code ?? "";
    const claims = Array.from({ length: 100 }, (_, at) =>
      pick(at).claim(code, { name: `ada${at}`, password: PASSWORD }),
    );
    expect([...(await endingsOf(claims))].toSorted()).toEqual([
      ["DPX_AUTH_INVALID", 99],
      ["ok", 1],
    ]);
    for (const accounts of all) await expect.poll(() => accounts.all().length).toBe(2);
  });

  it("finds accounts, passwords, tokens and bans again after a start", async () => {
    const open = await begin();
    const first = await open();
    const before = await openAccounts(stage, first, Date.now);
    const ben = await before.create(BEN);
    await before.acceptInvite((await before.invite(ben.userId)).code, PASSWORD);
    const tokensBefore = await MachineTokens.open({ store: first, accounts: before });
    const { token, secret } = await tokensBefore.create(ben.userId, {
      name: "ci",
      namePatterns: null,
      expiresAt: null,
    });
    const bansBefore = await Bans.open({ store: first });
    const subject = { kind: "user", userId: ben.userId, name: "ben" } as const;
    const ban = { subject, by: "ada", reason: "", at: Date.now(), until: Date.now() + 600_000 };
    await bansBefore.add(ban);
    for (const part of [before, tokensBefore, bansBefore]) part.close();
    await first.close();

    const second = await open();
    stage.defer(() => second.close());
    const accounts = await openAccounts(stage, second, Date.now);
    const tokens = await MachineTokens.open({ store: second, accounts });
    const bans = await Bans.open({ store: second });
    for (const part of [tokens, bans]) stage.defer(() => part.close());
    expect(accounts.all()).toEqual([{ ...ben, hasPassword: true }]);
    expect(await accounts.checkPassword("ben", PASSWORD)).toMatchObject({ userId: ben.userId });
    expect([(await tokens.find(secret))?.tokenId, bans.all()]).toEqual([token.tokenId, [ban]]);
  });
});
