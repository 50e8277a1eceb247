// Who may come in, as the wire has it: networks and users in one form, hashes of one cost.

import { describe, expect, it } from "vitest";
import {
  cidrText,
  hashGatePassword,
  isGateHash,
  isGatePassword,
  isGateUser,
  isSameGate,
  parseCidr,
} from "../../src/protocol/index.ts";

describe("parseCidr", () => {
  it.each([
    ["192.0.2.0/24", "192.0.2.0/24"],
    ["192.0.2.7", "192.0.2.7/32"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8::/32", "2001:db8::/32"],
    ["::1", "::1/128"],
    ["::/0", "::/0"],
    ["::ffff:192.0.2.0/120", "192.0.2.0/24"],
    ["::ffff:192.0.2.7", "192.0.2.7/32"],
  ])("reads %s as %s", (text, canonical) => {
    const network = parseCidr(text);
    expect(network === null ? null : cidrText(network)).toBe(canonical);
  });

  it.each([
    ...["", "/24", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/024", "192.0.2.0/", "192.0.2/24", "::/129"],
    ...["fe80::1%eth0/64", "[::1]/128", "192.0.2.0/24 ", "192.0.2.0/24,::1", "localhost", "192.0.2.0/1e1", "0x7f.1"],
  ])("refuses %j", (text) => {
    expect(parseCidr(text)).toBeNull();
  });
});

describe("isGateUser", () => {
  it("takes names of any script in NFC", () => {
    for (const name of ["ada", "ada lovelace", "aüda", "ада", "x".repeat(128)])
      expect([name, isGateUser(name)]).toEqual([name, true]);
  });

  it.each(["", "a:b", "a\nb", "a\u0000", "a\u0085", "\ud800", "u\u0308", "x".repeat(129)])("refuses %j", (name) => {
    expect(isGateUser(name)).toBe(false);
  });
});

describe("hashGatePassword", () => {
  it("hashes with a salt of its own, in the form that isGateHash wants", async () => {
    const [one, other] = await Promise.all([hashGatePassword("secret"), hashGatePassword("secret")]);
    expect([isGateHash(one), isGateHash(other), one === other]).toEqual([true, true, false]);
    expect(one).not.toContain("secret");
  });

  it("fits its password in either composition of letters, and no other", async () => {
    const hash = await hashGatePassword("pässword");
    expect(await isGatePassword("pa\u0308ssword", hash)).toBe(true);
    expect(await isGatePassword("password", hash)).toBe(false);
    expect(await isGatePassword("", hash)).toBe(false);
  });
});

describe("isGateHash", () => {
  it.each([
    `$scrypt$ln=20,r=8,p=1$${"A".repeat(22)}$${"A".repeat(43)}`,
    `$scrypt$ln=15,r=8,p=9$${"A".repeat(22)}$${"A".repeat(43)}`,
    `$scrypt$ln=15,r=8,p=1$${"A".repeat(22)}$${"A".repeat(43)}\n`,
    `$scrypt$ln=15,r=8,p=1$${"A".repeat(21)}$${"A".repeat(43)}`,
    `$2y$05$${"A".repeat(53)}`,
    "",
  ])("refuses another form or cost: %j", (hash) => {
    expect(isGateHash(hash)).toBe(false);
  });
});

describe("isSameGate", () => {
  const user = { user: "ada", hash: "h1" };

  it("tells every part apart, and copies not", () => {
    const gate = { basicAuth: [user], allowCidr: ["::1/128"], login: true } as const;
    expect(isSameGate(gate, structuredClone(gate))).toBe(true);
    expect(isSameGate(undefined, undefined)).toBe(true);
    const others = [
      undefined,
      { ...gate, basicAuth: [{ ...user, hash: "h2" }] },
      { ...gate, basicAuth: [{ ...user, user: "bob" }] },
      { ...gate, allowCidr: ["::2/128"] },
      { basicAuth: [user], allowCidr: ["::1/128"] },
      { basicAuth: [user], login: true } as const,
    ];
    for (const other of others) expect([other, isSameGate(gate, other)]).toEqual([other, false]);
  });
});
