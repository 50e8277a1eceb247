// Passwords and their hashes.

import { describe, expect, it } from "vitest";
import { checkPassword, PASSWORD_COST, Passwords } from "../../../src/server/accounts/passwords.ts";
import { CHEAP, PASSWORD } from "./setup.ts";

describe("Passwords", () => {
  it("hashes with its parameters and a new salt, and knows the password again", async () => {
    const passwords = new Passwords();
    const [one, other] = await Promise.all([passwords.hash(PASSWORD), passwords.hash(PASSWORD)]);
    expect(one).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[\w-]{22}\$[\w-]{43}$/);
    expect(one).not.toBe(other);
    expect(await passwords.verify(PASSWORD, one)).toEqual({ isRight: true, isWeak: false });
    expect(await passwords.verify(`${PASSWORD}x`, one)).toMatchObject({ isRight: false });
    expect(PASSWORD_COST).toEqual({ logN: 15, r: 8, p: 3 });
  });

  it("calls a hash weak that was made for less work", async () => {
    const stored = await new Passwords(CHEAP).hash(PASSWORD);
    const today = new Passwords({ ...CHEAP, logN: 5 });
    expect(await today.verify(PASSWORD, stored)).toEqual({ isRight: true, isWeak: true });
    expect(await new Passwords(CHEAP).verify(PASSWORD, stored)).toEqual({ isRight: true, isWeak: false });
  });

  it("does the same work without a hash, and says no", async () => {
    const passwords = new Passwords();
    const stored = await passwords.hash(PASSWORD);
    const timeOf = async (hash: string | null) => {
      const began = process.cpuUsage();
      expect((await passwords.verify("another password", hash)).isRight).toBe(false);
      return process.cpuUsage(began).user;
    };
    const [known, unknown] = [await timeOf(stored), await timeOf(null)];
    expect(unknown).toBeGreaterThan(known / 3);
  });

  it.each([
    "",
    "plain text",
    "$scrypt$ln=31,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "$scrypt$ln=0,r=0,p=0$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  ])("takes a damaged hash for none: %j", async (stored) => {
    expect((await new Passwords(CHEAP).verify(PASSWORD, stored)).isRight).toBe(false);
  });

  it("takes two ways of writing one letter for one", async () => {
    const passwords = new Passwords(CHEAP);
    const stored = await passwords.hash("gr\u00fcne Wiesen");
    expect((await passwords.verify("gru\u0308ne Wiesen", stored)).isRight).toBe(true);
  });

  it("refuses whoever comes when too many wait, and serves the others", async () => {
    const passwords = new Passwords(CHEAP);
    const stored = await passwords.hash(PASSWORD);
    const all = await Promise.allSettled(Array.from({ length: 100 }, () => passwords.verify(PASSWORD, stored)));
    const refused = all.filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(100 - 2 - 64);
    expect(refused[0]).toMatchObject({ reason: { code: "DPX_RATE_LIMIT", hint: "Try again in a few seconds." } });
    expect((await passwords.verify(PASSWORD, stored)).isRight).toBe(true);
  });
});

describe("checkPassword", () => {
  it.each([
    ["a".repeat(9), "it has 9 characters, 10 to 256 are wanted"],
    ["😀".repeat(9), "it has 9 characters, 10 to 256 are wanted"],
    ["a".repeat(257), "it has 257 characters, 10 to 256 are wanted"],
    ["x".repeat(1_000_000), "it has 1000000 characters"],
    ["Benedikta.Lang", "it is the user's name"],
  ])("refuses %j", (password, why) => {
    expect(() => checkPassword(password, "benedikta.lang")).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", message: expect.stringContaining(why) }),
    );
  });

  it.each(["a".repeat(10), "😀".repeat(256), " spaces are fine "])("takes %j", (password) => {
    checkPassword(password, "ben");
  });
});
