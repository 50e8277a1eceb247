// Counting attempts: by kind and by key, for a time, in bounded memory.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createAttempts, MAX_ATTEMPT_KEYS } from "../../src/server/attempts.ts";

const START = 1_800_000_000_000;
const TWICE = { points: 2, durationMs: 60_000 };

describe("createAttempts", () => {
  beforeEach(() => {
    // Timers of 10,000 keys would take the fake clock very long.
    vi.useFakeTimers({ now: START, toFake: ["Date"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("lets as many pass as a kind has points, then says when the next one may come", async () => {
    const attempts = createAttempts({ "sign-in": TWICE });
    await attempts.count("sign-in", "192.0.2.1");
    vi.setSystemTime(START + 20_000);
    await attempts.count("sign-in", "192.0.2.1");
    await expect(attempts.count("sign-in", "192.0.2.1")).rejects.toMatchObject({
      ...{ code: "DPX_RATE_LIMIT", hint: "Try again in 40 s." },
      message: "Cannot go on: too many attempts came in a short time",
    });
    vi.setSystemTime(START + 60_000);
    await attempts.count("sign-in", "192.0.2.1");
  });

  it("counts each key and each kind on its own", async () => {
    const attempts = createAttempts({ "sign-in": TWICE, claim: TWICE });
    for (const key of ["a", "b", "__proto__", "constructor", "", "own a"]) {
      for (const kind of ["sign-in", "claim"] as const) {
        await attempts.count(kind, key);
        await attempts.count(kind, key);
        await expect(attempts.count(kind, key)).rejects.toMatchObject({ code: "DPX_RATE_LIMIT" });
      }
    }
  });

  it("tells long keys apart, and keeps none of them", async () => {
    const attempts = createAttempts({ "sign-in-account": TWICE });
    const long = "x".repeat(100_000);
    await attempts.count("sign-in-account", `${long}1`);
    await attempts.count("sign-in-account", `${long}1`);
    await attempts.count("sign-in-account", `${long}2`);
    await expect(attempts.count("sign-in-account", `${long}1`)).rejects.toMatchObject({ code: "DPX_RATE_LIMIT" });
  });

  it("forgets what was counted when the attempt was right", async () => {
    const attempts = createAttempts({ "sign-in-account": TWICE });
    await attempts.count("sign-in-account", "ben");
    await attempts.count("sign-in-account", "ben");
    await attempts.reset("sign-in-account", "ben");
    await attempts.reset("sign-in-account", "nobody");
    await attempts.count("sign-in-account", "ben");
  });

  it("never forgets a key for the sake of others: those beyond the bound share counters", async () => {
    const attempts = createAttempts({ "sign-in": TWICE });
    await attempts.count("sign-in", "victim");
    await attempts.count("sign-in", "victim");
    for (let index = 1; index < MAX_ATTEMPT_KEYS; index += 1) await attempts.count("sign-in", `key-${index}`);
    const refused: string[] = [];
    for (let index = 0; index < 2_000; index += 1) {
      await attempts.count("sign-in", `flood-${index}`).catch(({ code }) => refused.push(code));
    }
    // 256 shared counters of two points each, at most.
    expect(refused.length).toBeGreaterThanOrEqual(2_000 - 512);
    await expect(attempts.count("sign-in", "victim")).rejects.toMatchObject({ code: "DPX_RATE_LIMIT" });
    await attempts.count("sign-in", "key-1");
    vi.setSystemTime(START + 60_000);
    await attempts.count("sign-in", "victim");
    await attempts.count("sign-in", "flood-0");
  });
});
