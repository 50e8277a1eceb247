// Passwords are looked at a few at a time, so many wait and no more, and what was right is not looked at again.

import { beforeAll, describe, expect, it } from "vitest";
import { DuplexityError, type GateUser, hashGatePassword } from "../../../src/protocol/index.ts";
import type { AttemptKind } from "../../../src/server/attempts.ts";
import { GatePasswords } from "../../../src/server/proxy/gate-passwords.ts";

let ada: GateUser;
beforeAll(async () => {
  ada = { user: "ada", hash: await hashGatePassword("right") };
});

function make(limit = Number.POSITIVE_INFINITY) {
  const calls: [string, AttemptKind, string][] = [];
  const passwords = new GatePasswords({
    async count(kind, key) {
      calls.push(["count", kind, key]);
      if (calls.length > limit) throw new DuplexityError("DPX_RATE_LIMIT", "Too many");
    },
    async reset(kind, key) {
      calls.push(["reset", kind, key]);
    },
  });
  const check = (password: string, more: { sender?: string; hostname?: string; user?: GateUser | null } = {}) =>
    passwords.check({
      hostname: "a.test",
      sender: "192.0.2.7",
      user: ada,
      ...more,
      credentials: { user: "ada", password },
    });
  return { check, calls };
}

describe("GatePasswords", () => {
  it("knows at once what was right before, for whoever shows it, and counts it no more", async () => {
    const { check, calls } = make();
    expect(await check("right")).toBeNull();
    expect(check("right", { sender: "192.0.2.8", hostname: "b.test" })).toBeNull();
    expect(calls).toEqual([
      ["count", "visitor", "a.test 192.0.2.7"],
      ["reset", "visitor", "a.test 192.0.2.7"],
    ]);
  });

  it("knows nothing of a user whose hash is another one now", async () => {
    const { check } = make();
    expect(await check("right")).toBeNull();
    const changed = { user: "ada", hash: await hashGatePassword("new") };
    expect(await check("right", { user: changed })).toBe("DPX_VISITOR_UNKNOWN");
    expect(await check("right", { user: null })).toBe("DPX_VISITOR_UNKNOWN");
  });

  it("counts a wrong one each time, one for one sender in the same moment", async () => {
    const { check, calls } = make();
    const same = [check("wrong"), check("wrong"), check("wrong", { sender: "192.0.2.8" })];
    expect(await Promise.all(same)).toEqual(Array.from({ length: 3 }, () => "DPX_VISITOR_UNKNOWN"));
    expect(await check("wrong")).toBe("DPX_VISITOR_UNKNOWN");
    expect(calls.map(([what, , key]) => [what, key])).toEqual([
      ["count", "a.test 192.0.2.7"],
      ["count", "a.test 192.0.2.8"],
      ["count", "a.test 192.0.2.7"],
    ]);
  });

  it("does not look at a password beyond the limit, however right it is", async () => {
    const { check } = make(1);
    expect(await check("wrong")).toBe("DPX_VISITOR_UNKNOWN");
    expect(await check("right")).toBe("DPX_RATE_LIMIT");
  });

  it("lets so many of one pipe wait and refuses the rest, while another pipe's visitors get their turn", async () => {
    const { check } = make();
    const flood = Array.from({ length: 30 }, (_, at) => check(`wrong ${at}`));
    const other = check("right", { hostname: "b.test" });
    expect(await other).toBeNull();
    const outcomes = await Promise.all(flood);
    expect(outcomes.filter((outcome) => outcome === "DPX_LIMIT")).toHaveLength(12);
    expect(outcomes.filter((outcome) => outcome === "DPX_VISITOR_UNKNOWN")).toHaveLength(18);
    expect(await check("right", { user: { user: "ada", hash: await hashGatePassword("right") } })).toBeNull();
  });
});
