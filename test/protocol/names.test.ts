// Which names a pipe may have, and which hostname each gets.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  canonicalHostname,
  checkName,
  DuplexityError,
  hostnameOf,
  isLabel,
  RESERVED_LABELS,
} from "../../src/protocol/index.ts";

function refusal(run: () => unknown): { code: string; message: string; hint: string | undefined } {
  try {
    run();
  } catch (error) {
    if (error instanceof DuplexityError) return { code: error.code, message: error.message, hint: error.hint };
    throw error;
  }
  throw new Error("it was accepted");
}

describe("isLabel", () => {
  it.each(["a", "1", "cat1", "a-b", "xn--mnchen-3ya", "a".repeat(63), "0-0"])("accepts %s", (label) => {
    expect(isLabel(label)).toBe(true);
  });
  it.each(["", "-", "a-", "-a", "a_b", "a.b", "A", "ä", "a b", "a\n", "a".repeat(64), "*", "a/b", "a\0"])(
    "refuses %j",
    (label) => {
      expect(isLabel(label)).toBe(false);
    },
  );
});

describe("canonicalHostname", () => {
  it.each([
    ["Cat1.LocalHost.", "cat1.localhost"],
    ["cat1", "cat1"],
    ["cat1..", "cat1."],
    // Only ASCII is folded: the Kelvin sign must not become a k.
    ["\u212aat", "\u212aat"],
  ])("makes %s into %s", (name, canonical) => {
    expect(canonicalHostname(name)).toBe(canonical);
  });
});

describe("hostnameOf", () => {
  it.each([
    ["cat1", "cat1.example.com"],
    ["CAT1", "cat1.example.com"],
    ["cat1.example.com", "cat1.example.com"],
    ["Cat1.Example.COM.", "cat1.example.com"],
  ])("takes %s for %s", (name, hostname) => {
    expect(hostnameOf(name, "example.com")).toBe(hostname);
  });

  it.each([
    ["", "DPX_NAME_INVALID", "it is empty"],
    [".", "DPX_NAME_INVALID", "it is empty"],
    ["-cat", "DPX_NAME_INVALID", "hyphen"],
    ["cat_1", "DPX_NAME_INVALID", "only a-z"],
    ["cat 1", "DPX_NAME_INVALID", "only a-z"],
    ["cat1:80", "DPX_NAME_INVALID", "only a-z"],
    ["\u212aat", "DPX_NAME_INVALID", "only a-z"],
    ["cat..example.com", "DPX_NAME_INVALID", "empty part"],
    ["x".repeat(64), "DPX_NAME_INVALID", "64 characters"],
    [`${"x.".repeat(130)}com`, "DPX_NAME_INVALID", "at most 253"],
    ["a.b.example.com", "DPX_NAME_INVALID", "more than one label"],
    ["cat1.example.org", "DPX_NAME_INVALID", 'not below "example.com"'],
    ["cat1example.com", "DPX_NAME_INVALID", "not below"],
    ["127.0.0.1", "DPX_NAME_INVALID", "a number"],
    ["example.com", "DPX_NAME_RESERVED", "own domain"],
    ["www", "DPX_NAME_RESERVED", "reserved"],
    ["WWW.example.com", "DPX_NAME_RESERVED", "reserved"],
    ["_acme-challenge", "DPX_NAME_INVALID", "only a-z"],
  ])("refuses %s with %s", (name, code, why) => {
    const found = refusal(() => hostnameOf(name, "example.com"));
    expect(found.code).toBe(code);
    expect(found.message).toContain(why);
    expect(found.hint).toContain("cat1");
  });

  it("refuses all reserved labels, short and in full", () => {
    for (const label of RESERVED_LABELS) {
      expect(refusal(() => hostnameOf(label, "example.com")).code).toBe("DPX_NAME_RESERVED");
      expect(refusal(() => hostnameOf(`${label}.example.com`, "example.com")).code).toBe("DPX_NAME_RESERVED");
    }
  });

  it("refuses a name that makes the hostname too long", () => {
    const domain = `${"d".repeat(60)}.`.repeat(4).slice(0, -1);
    expect(refusal(() => hostnameOf("x".repeat(20), domain)).message).toContain("at most 253 fit");
  });

  it("answers only hostnames one label below the domain, whatever comes", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.domain(), fc.string({ unit: fc.constantFrom("a", ".", "-", "9") })),
        (name) => {
          try {
            const hostname = hostnameOf(name, "example.com");
            expect(hostname).toMatch(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?\.example\.com$/);
            expect(hostnameOf(hostname, "example.com")).toBe(hostname);
          } catch (error) {
            if (!(error instanceof DuplexityError)) throw error;
          }
        },
      ),
    );
  });
});

describe("checkName", () => {
  it("accepts a hostname of any domain, which only the server knows", () => {
    expect(checkName("cat1.example.org")).toBe("cat1.example.org");
  });
  it("refuses a reserved label", () => {
    expect(refusal(() => checkName("api"))).toMatchObject({ code: "DPX_NAME_RESERVED" });
  });
});
