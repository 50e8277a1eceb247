// Tokens of machines.

import { describe, expect, it, vi } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { type MachineToken, MachineTokens } from "../../../src/server/accounts/index.ts";
import { MAX_TOKENS_PER_USER } from "../../../src/server/accounts/machine-tokens.ts";
import { readToken } from "../../../src/server/accounts/records.ts";
import { MAX_LOOKS_PER_SECOND, MAX_UNKNOWN, UNKNOWN_MS } from "../../../src/server/accounts/token-lookup.ts";
import { useStage } from "../../support/stage.ts";
import { endingsOf, openAccounts, openWorld, type World } from "./setup.ts";

const stage = useStage();
const CI = { name: "ci", namePatterns: ["cat*"], expiresAt: null };

async function openWithBen(): Promise<World & { readonly userId: string }> {
  const world = await openWorld(stage);
  const { userId } = await world.accounts.create({ name: "ben", isAdmin: false, namePatterns: null });
  return { ...world, userId };
}

describe("MachineTokens", () => {
  it("makes a token whose secret is seen once and kept as a digest", async () => {
    const { tokens, store, userId, now } = await openWithBen();
    const { token, secret } = await tokens.create(userId, CI);
    expect(secret).toMatch(/^dpx_[\w-]{43}$/);
    expect(token).toEqual({
      ...{ tokenId: expect.stringMatching(/^t_[\w-]{22}$/), name: "ci", userId, namePatterns: ["cat*"] },
      ...{ createdAt: now(), expiresAt: null, lastUsedAt: null },
    });
    expect(JSON.stringify(await store.list(""))).not.toContain(secret.slice(4));
    expect([tokens.get(token.tokenId), tokens.ofUser(userId), tokens.all()]).toEqual([token, [token], [token]]);
    expect(await tokens.find(secret)).toMatchObject({ tokenId: token.tokenId });
  });

  it.each([
    "",
    "dpx_",
    "dpx___proto__",
    `dpx_${"a".repeat(43)}`,
    `DPX_${"a".repeat(43)}`,
    `dpx_${"a".repeat(100_000)}`,
  ])("finds nothing by %j", async (secret) => {
    const { tokens, userId } = await openWithBen();
    await tokens.create(userId, CI);
    expect(await tokens.find(secret)).toBeNull();
  });

  it("ends by the clock, by being revoked, and with its owner", async () => {
    const { tokens, accounts, clock, userId } = await openWithBen();
    const short = await tokens.create(userId, { ...CI, expiresAt: clock.now() + 1_000 });
    const revoked = await tokens.create(userId, { ...CI, name: "two" });
    const orphan = await tokens.create(userId, { ...CI, name: "three" });
    clock.sleep(1_000);
    expect([await tokens.find(short.secret), tokens.get(short.token.tokenId)]).toEqual([null, null]);
    expect([await tokens.revoke(revoked.token.tokenId), await tokens.revoke(revoked.token.tokenId)]).toEqual([
      true,
      false,
    ]);
    expect([await tokens.find(revoked.secret), tokens.ofUser(userId)]).toEqual([null, [orphan.token]]);
    await accounts.remove(userId);
    expect([await tokens.find(orphan.secret), tokens.all()]).toEqual([null, []]);
    await expect(tokens.create(userId, CI)).rejects.toMatchObject({ code: "DPX_NOT_FOUND" });
  });

  it("holds no token whose account is gone, also if the token was left behind", async () => {
    const { tokens, accounts, store, userId } = await openWithBen();
    const { token, secret } = await tokens.create(userId, CI);
    await store.delete(`account/${userId}`);
    await expect.poll(() => accounts.byId(userId)).toBeNull();
    expect([await tokens.find(secret), tokens.get(token.tokenId), tokens.all()]).toEqual([null, null, []]);
    expect(await tokens.revoke(token.tokenId)).toBe(true);
  });

  it("leaves no token to an account whose end this node has not heard of", async () => {
    const { accounts, store, now, userId } = await openWithBen();
    vi.spyOn(store, "watch").mockReturnValueOnce(() => {});
    const deaf = await openAccounts(stage, store, now);
    const tokens = await MachineTokens.open({ store, accounts: deaf, now });
    stage.defer(() => tokens.close());
    await accounts.remove(userId);
    expect(deaf.byId(userId)).not.toBeNull();
    await expect(tokens.create(userId, CI)).rejects.toMatchObject({ code: "DPX_NOT_FOUND" });
    expect(await store.list("token/")).toEqual([]);
  });

  it("revokes nothing by what is no tokenId", async () => {
    const { tokens, userId } = await openWithBen();
    await tokens.create(userId, CI);
    for (const id of ["", "ci", "__proto__", "t_", "../account", "t_é"]) expect(await tokens.revoke(id)).toBe(false);
    expect(tokens.all()).toHaveLength(1);
  });

  it("gives a name once to each owner, also at once", async () => {
    const { tokens, accounts, userId } = await openWithBen();
    const eve = await accounts.create({ name: "eve", isAdmin: false, namePatterns: null });
    const made = await endingsOf(Array.from({ length: 20 }, () => tokens.create(userId, CI)));
    expect(made).toEqual(
      new Map([
        ["ok", 1],
        ["DPX_EXISTS", 19],
      ]),
    );
    await tokens.create(eve.userId, CI);
  });

  it("refuses what cannot be: names, patterns, ends", async () => {
    const { tokens, userId, now } = await openWithBen();
    for (const wrong of [{ name: "__proto__" }, { name: "" }, { namePatterns: ["a.b"] }, { namePatterns: [] }]) {
      await expect(tokens.create(userId, { ...CI, ...wrong })).rejects.toMatchObject({ code: "DPX_USAGE" });
    }
    for (const expiresAt of [now(), 0, Number.NaN]) {
      await expect(tokens.create(userId, { ...CI, expiresAt })).rejects.toMatchObject({
        code: "DPX_USAGE",
        message: 'Cannot make the token "ci": it would have ended already',
      });
    }
    expect(tokens.all()).toEqual([]);
  });

  it("stops at its bound for one owner", async () => {
    const { tokens, userId } = await openWithBen();
    for (let at = 0; at < MAX_TOKENS_PER_USER; at += 1) await tokens.create(userId, { ...CI, name: `ci${at}` });
    await expect(tokens.create(userId, CI)).rejects.toMatchObject({
      code: "DPX_OWNER_LIMIT",
      message: 'Cannot make the token "ci": there are 100 already, as many as are allowed',
    });
  });

  it("writes when a token was used at most once a minute", async () => {
    const { tokens, store, clock, userId } = await openWithBen();
    const { token, secret } = await tokens.create(userId, CI);
    let writes = 0;
    store.watch("token/", () => {
      writes += 1;
    });
    const kept = async () => readToken(await store.get(`token/${token.tokenId}`))?.token.lastUsedAt;
    const first = clock.now();
    for (let count = 0; count < 100; count += 1) expect((await tokens.find(secret))?.lastUsedAt).toBe(first);
    expect([await kept(), writes, tokens.get(token.tokenId)?.lastUsedAt]).toEqual([first, 1, first]);
    clock.sleep(59_999);
    expect((await tokens.find(secret))?.lastUsedAt).toBe(first);
    clock.sleep(1);
    await tokens.find(secret);
    expect([await kept(), writes]).toEqual([clock.now(), 2]);
  });

  it("keeps the uses of a crowd one after another, and none that another node has kept", async () => {
    const { tokens: makers, accounts, store, now, clock, userId } = await openWithBen();
    const made: { readonly token: MachineToken; readonly secret: string }[] = [];
    for (let at = 0; at < 20; at += 1) made.push(await makers.create(userId, { ...CI, name: `ci${at}` }));
    const kept = async ({ token }: (typeof made)[number]) =>
      readToken(await store.get(`token/${token.tokenId}`))?.token.lastUsedAt ?? null;
    const [tokens, other] = [await openDeaf({ store, accounts, now }), await openDeaf({ store, accounts, now })];
    const [first] = made;
    if (first === undefined) throw new Error("No token");
    await other.find(first.secret);
    await vi.waitUntil(async () => (await kept(first)) !== null);
    clock.sleep(1);
    const update = store.update.bind(store);
    let [running, most, writes] = [0, 0, 0];
    vi.spyOn(store, "update").mockImplementation(async (...args) => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      return update(...args).finally(() => {
        running -= 1;
      });
    });
    store.watch("token/", () => {
      writes += 1;
    });
    await Promise.all(made.map(({ secret }) => tokens.find(secret)));
    await vi.waitUntil(async () => !(await Promise.all(made.map(kept))).includes(null));
    expect([most, writes]).toEqual([1, made.length - 1]);
  });

  it("tells that tokens are gone as soon as it knows, and not that one was made or used", async () => {
    const { tokens, accounts, store, now, clock, userId } = await openWithBen();
    const other = await MachineTokens.open({ store, accounts, now });
    stage.defer(() => other.close());
    const seen: boolean[] = [];
    const { token, secret } = await tokens.create(userId, CI);
    other.onGone(() => seen.push(other.get(token.tokenId) === null));
    await expect.poll(() => other.get(token.tokenId)).not.toBeNull();
    clock.sleep(120_000);
    await other.find(secret);
    await vi.waitUntil(async () => tokens.get(token.tokenId)?.lastUsedAt === clock.now());
    expect(seen).toEqual([]);
    await tokens.revoke(token.tokenId);
    await expect.poll(() => seen).toEqual([true]);
  });

  it("hears of another node's tokens, and of their end", async () => {
    const { tokens, accounts, store, now, userId } = await openWithBen();
    const other = await MachineTokens.open({ store, accounts, now });
    stage.defer(() => other.close());
    const { token, secret } = await tokens.create(userId, CI);
    await expect.poll(() => other.find(secret)).toMatchObject({ tokenId: token.tokenId });
    await tokens.revoke(token.tokenId);
    await expect.poll(() => other.find(secret)).toBeNull();
  });

  it("finds another node's token of which no word came, and asks once for all who show it", async () => {
    const { tokens, accounts, store, now, userId } = await openWithBen();
    const other = await openDeaf({ store, accounts, now });
    const { token, secret } = await tokens.create(userId, CI);
    expect(other.get(token.tokenId)).toBeNull();
    const get = vi.spyOn(store, "get");
    const found = await Promise.all(Array.from({ length: 20 }, () => other.find(secret)));
    expect(found).toEqual(found.map(() => expect.objectContaining({ tokenId: token.tokenId })));
    expect(get.mock.calls.filter(([key]) => key.startsWith("token-digest/"))).toHaveLength(1);
    await tokens.revoke(token.tokenId);
    expect(await store.list("token")).toEqual([]);
  });

  it("asks the store for an unknown token no more than once in ten seconds, and for few of all", async () => {
    const { tokens, store, clock } = await openWithBen();
    const get = vi.spyOn(store, "get");
    const unknown = (at: number) => `dpx_${String(at).padStart(43, "a")}`;
    for (let count = 0; count < 5; count += 1) expect(await tokens.find(unknown(0))).toBeNull();
    expect(get).toHaveBeenCalledTimes(1);
    clock.sleep(UNKNOWN_MS);
    expect(await tokens.find(unknown(0))).toBeNull();
    expect(get).toHaveBeenCalledTimes(2);
    clock.sleep(1_000);
    const all = Array.from({ length: 200 }, (_, at) => tokens.find(unknown(at + 1)));
    expect([...(await endingsOf(all))].toSorted()).toEqual([
      ["DPX_RATE_LIMIT", 200 - MAX_LOOKS_PER_SECOND],
      ["ok", MAX_LOOKS_PER_SECOND],
    ]);
    clock.sleep(1_000);
    for (let at = 1_000; at < 1_000 + MAX_UNKNOWN; at += 1) {
      clock.sleep(1_000 / MAX_LOOKS_PER_SECOND);
      await tokens.find(unknown(at));
    }
    get.mockClear();
    await tokens.find(unknown(1_000 + MAX_UNKNOWN - 1));
    expect(get).not.toHaveBeenCalled();
  });

  it("takes a store that cannot be asked for no word on a token", async () => {
    const { tokens, store } = await openWithBen();
    vi.spyOn(store, "get").mockRejectedValue(new DuplexityError("DPX_STORE", "Cannot use the store"));
    await expect(tokens.find(`dpx_${"a".repeat(43)}`)).rejects.toMatchObject({ code: "DPX_STORE" });
  });
});

/** Of another node, which hears nothing of what changes. */
async function openDeaf({ store, accounts, now }: Pick<World, "store" | "accounts" | "now">): Promise<MachineTokens> {
  const watch = vi.spyOn(store, "watch").mockReturnValue(() => {});
  const tokens = await MachineTokens.open({ store, accounts, now });
  watch.mockRestore();
  stage.defer(() => tokens.close());
  return tokens;
}
