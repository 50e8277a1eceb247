// How the provider's things lie in the store.

import { describe, expect, it } from "vitest";
import { StoreAdapter } from "../../../src/server/auth/store-adapter.ts";
import { MemoryStore } from "../../../src/server/store/index.ts";

describe("StoreAdapter", () => {
  it("finds by the id that was given out, and by nothing that lies in the store", async () => {
    const store = new MemoryStore();
    const adapter = new StoreAdapter(store, "RefreshToken");
    await adapter.upsert("the-token", { jti: "the-token", kind: "RefreshToken", grantId: "g" }, 60);
    expect(await adapter.find("the-token")).toEqual({ jti: "the-token", kind: "RefreshToken", grantId: "g" });
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

  it("keeps little of a redeemed refresh token, for the month that it is kept", async () => {
    const adapter = new StoreAdapter(new MemoryStore(), "RefreshToken");
    await adapter.upsert(
      "t",
      { kind: "RefreshToken", accountId: "u", clientId: "c", grantId: "g", nonce: "n".repeat(500) },
      60,
    );
    await adapter.consume("t");
    expect(await adapter.find("t")).toMatchObject({ accountId: "u", clientId: "c", grantId: "g" });
    expect(await adapter.find("t")).not.toHaveProperty("nonce");
  });
});
