// How the provider's things lie in the store.

import { describe, expect, it } from "vitest";
import { MAX_RETRIES, RETRY_MS } from "../../../src/server/auth/refresh-chain.ts";
import { RefreshTokenAdapter } from "../../../src/server/auth/refresh-token-adapter.ts";
import { StoreAdapter } from "../../../src/server/auth/store-adapter.ts";
import { MemoryStore } from "../../../src/server/store/index.ts";
import { ManualClock } from "../manual-clock.ts";

describe("StoreAdapter", () => {
  it("finds by the id that was given out, and by nothing that lies in the store", async () => {
    const store = new MemoryStore();
    const adapter = new StoreAdapter(store, "AccessToken");
    await adapter.upsert("the-token", { jti: "the-token", kind: "AccessToken", grantId: "g" }, 60);
    expect(await adapter.find("the-token")).toEqual({ jti: "the-token", kind: "AccessToken", grantId: "g" });
    const [entry] = await store.list("oidc/");
    expect(JSON.stringify(entry)).not.toContain("the-token");
    const hash = entry?.key.split("/").at(-1) ?? "";
    for (const id of [hash, `hash:${hash}`]) expect(await adapter.find(id)).toBeUndefined();
  });

  it("keeps a redeemed code redeemed, whoever saves it later", async () => {
    const adapter = new StoreAdapter(new MemoryStore(), "DeviceCode");
    await adapter.upsert("code", { kind: "DeviceCode", userCode: "BBBB" }, 60);
    const late = (await adapter.findByUserCode("BBBB")) ?? {};
    await adapter.consume("code");
    await adapter.upsert(late.jti ?? "", { ...late, accountId: "u_other" }, 60);
    expect((await adapter.find("code"))?.consumed).toBeTypeOf("number");
    await expect(adapter.consume("code")).rejects.toMatchObject({ error: "invalid_grant" });
  });

  it("ends the grant when a code is redeemed twice at once", async () => {
    const store = new MemoryStore();
    const [codes, grants] = [new StoreAdapter(store, "AuthorizationCode"), new StoreAdapter(store, "Grant")];
    await grants.upsert("g", { kind: "Grant" }, 60);
    await codes.upsert("code", { kind: "AuthorizationCode", grantId: "g" }, 60);
    const all = await Promise.allSettled([codes.consume("code"), codes.consume("code")]);
    expect(all.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(await grants.find("g")).toBeUndefined();
  });
});

describe("RefreshTokenAdapter", () => {
  async function withToken() {
    const clock = new ManualClock();
    const store = new MemoryStore();
    const adapter = new RefreshTokenAdapter(store, () => clock.now());
    const save = (id: string) =>
      adapter.upsert(id, { kind: "RefreshToken", accountId: "u", grantId: "g", nonce: "n".repeat(500) }, 3_600);
    const grants = new StoreAdapter(store, "Grant");
    await grants.upsert("g", { kind: "Grant" }, 3_600);
    await save("first");
    return { adapter, clock, save, grants };
  }

  it("takes a token again for a minute and a few times, and then ends the grant", async () => {
    const { adapter, clock, save, grants } = await withToken();
    await adapter.consume("first");
    await save("lost");
    clock.sleep(RETRY_MS - 1);
    expect(await adapter.find("first")).not.toHaveProperty("consumed");
    for (let retry = 0; retry < MAX_RETRIES; retry += 1) await adapter.consume("first");
    expect((await adapter.find("first"))?.consumed).toBeTypeOf("number");
    expect(await grants.find("g")).toBeDefined();
    await expect(adapter.consume("first")).rejects.toMatchObject({ error: "invalid_grant", hasEndedGrant: true });
    expect(await grants.find("g")).toBeUndefined();
  });

  it("takes none again after a minute, nor one that was made void", async () => {
    const { adapter, clock, save } = await withToken();
    await adapter.consume("first");
    await save("lost");
    await adapter.consume("first");
    await save("second");
    expect((await adapter.find("lost"))?.consumed).toBeTypeOf("number");
    expect(await adapter.find("second")).not.toHaveProperty("consumed");
    clock.sleep(RETRY_MS);
    expect((await adapter.find("first"))?.consumed).toBeTypeOf("number");
    await expect(adapter.consume("first")).rejects.toMatchObject({ error: "invalid_grant" });
  });

  it("keeps little of a token that cannot come again, for the month that it is kept", async () => {
    const { adapter, save } = await withToken();
    await adapter.consume("first");
    expect(await adapter.find("first")).toHaveProperty("nonce");
    await save("second");
    await adapter.consume("second");
    expect(await adapter.find("first")).toMatchObject({ accountId: "u", grantId: "g" });
    expect(await adapter.find("first")).not.toHaveProperty("nonce");
  });
});
