// The keys that tokens and cookies are signed with: one set for all processes, followed by others while old tokens still hold.

import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { refreshTokenGrant } from "openid-client";
import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { KeyRing } from "../../../src/server/auth/key-ring.ts";
import { ID_TOKEN_S, KEY_AGE_MS, KEY_AHEAD_MS, SESSION_S } from "../../../src/server/auth/lifetimes.ts";
import { MemoryStore } from "../../../src/server/store/index.ts";
import { useStage } from "../../support/stage.ts";
import { discover, signInCli } from "./cli.ts";
import { startAuth } from "./stage.ts";
import { TestBrowser } from "./test-browser.ts";

const stage = useStage();

async function openRing(store: MemoryStore, now: () => number): Promise<KeyRing> {
  const ring = await KeyRing.open({ store, now, onError: () => {} });
  stage.defer(() => ring.close());
  return ring;
}

function kids(ring: KeyRing): string[] {
  return ring.keys.signing.map(({ kid }) => kid);
}

describe("KeyRing", () => {
  it("makes one key for all processes that start at once", async () => {
    const store = new MemoryStore();
    const rings = await Promise.all(Array.from({ length: 8 }, () => openRing(store, Date.now)));
    expect(new Set(rings.map((ring) => kids(ring).join())).size).toBe(1);
    expect(kids(rings[0] ?? (await openRing(store, Date.now)))).toHaveLength(1);
    expect(new Set(rings.map(({ keys }) => keys.cookieSecrets.join())).size).toBe(1);
  });

  it("publishes the next key before it signs, and keeps the old one until its tokens have ended", async () => {
    const store = new MemoryStore();
    let now = Date.now();
    const ring = await openRing(store, () => now);
    const [old] = kids(ring);
    now += KEY_AGE_MS - 1;
    await ring.refresh();
    expect(kids(ring)).toEqual([old]);
    now += 1;
    await ring.refresh();
    const [signing, next] = kids(ring);
    expect([signing, kids(ring).length]).toEqual([old, 2]);
    now += KEY_AHEAD_MS;
    await ring.refresh();
    expect(kids(ring)).toEqual([next, old]);
    now += ID_TOKEN_S * 1_000;
    await ring.refresh();
    expect(kids(ring)).toEqual([next, old]);
    now += ID_TOKEN_S * 1_000;
    await ring.refresh();
    expect(kids(ring)).toEqual([next]);
    expect(ring.keys.cookieSecrets).toHaveLength(2);
    now += SESSION_S * 1_000;
    await ring.refresh();
    expect(ring.keys.cookieSecrets).toHaveLength(1);
  });

  it("agrees with other processes on the next key, too", async () => {
    const store = new MemoryStore();
    let now = Date.now();
    const rings = await Promise.all([openRing(store, () => now), openRing(store, () => now)]);
    now += KEY_AGE_MS;
    await Promise.all(rings.map((ring) => ring.refresh()));
    await Promise.all(rings.map((ring) => ring.refresh()));
    expect(new Set(rings.map((ring) => kids(ring).join())).size).toBe(1);
    expect(kids(rings[0] ?? (await openRing(store, () => now)))).toHaveLength(2);
  });

  it("replaces nothing that it cannot read", async () => {
    const store = new MemoryStore();
    await store.put("oidc-keys", { signing: "gone", cookies: [] });
    const opened = KeyRing.open({ store, now: Date.now, onError: () => {} });
    await expect(opened).rejects.toMatchObject({ code: "DPX_STORE" });
    await expect(opened).rejects.toBeInstanceOf(DuplexityError);
    expect(await store.get("oidc-keys")).toEqual({ signing: "gone", cookies: [] });
  });
});

describe("The keys of the auth service", () => {
  it("change while it runs: new tokens by the new key, old ones still good, browsers still signed in", async () => {
    let now = Date.now();
    const started = await startAuth(stage, { now: () => now });
    const browser = new TestBrowser(started);
    const before = await signInCli(started, browser);
    const oldToken = before.tokens.id_token ?? "";
    now += KEY_AGE_MS;
    await started.auth.keys();
    now += KEY_AHEAD_MS;
    const keys = await started.auth.keys();
    expect(keys.keys).toHaveLength(2);
    expect((await browser.get("/auth/account")).status).toBe(200);
    const { refresh_token = "" } = before.tokens;
    const after = await refreshTokenGrant(await discover(started), refresh_token);
    const newToken = after.id_token ?? "";
    expect(decodeProtectedHeader(newToken).kid).not.toBe(decodeProtectedHeader(oldToken).kid);
    for (const token of [oldToken, newToken]) {
      await jwtVerify(token, createLocalJWKSet(keys), { issuer: started.auth.issuer, audience: "duplexity-cli" });
    }
    const shown = JSON.parse((await browser.get("/auth/jwks")).body) as { keys: Record<string, unknown>[] };
    expect(shown.keys.map(({ kid }) => kid)).toEqual(keys.keys.map(({ kid }) => kid));
    for (const key of [...shown.keys, ...keys.keys]) expect(key).not.toHaveProperty("d");
  });
});
