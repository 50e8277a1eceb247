// Which labels a pattern lets through.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkNamePattern,
  checkNamePatterns,
  isAllowedName,
  matchesNamePattern,
} from "../../../src/server/accounts/index.ts";
import { MAX_NAME_PATTERNS } from "../../../src/server/accounts/name-patterns.ts";
import { HANG_MS } from "../../support/bars.ts";

describe("matchesNamePattern", () => {
  it.each([
    ["cat1", "cat1", true],
    ["cat12", "cat1", false],
    ["xcat1", "cat1", false],
    ["ben-", "ben-*", true],
    ["ben-x", "ben-*", true],
    ["ben", "ben-*", false],
    ["dog1", "cat*", false],
    ["anything", "*", true],
    ["aba", "a*a", true],
    ["a", "a*a", false],
    ["ab", "ab*b", false],
    ["a-b-c", "a*b*c", true],
    ["a-c-b", "a*b*c", false],
    ["xx-cat", "*cat", true],
    ["xx-cat-yy", "*cat*", true],
    ["abcbc", "a*bc", true],
    ["cat.", "cat*", true],
  ])("of %j and %j is %j", (label, pattern, matches) => {
    expect(matchesNamePattern(label, pattern)).toBe(matches);
  });

  it("agrees with what the pattern means, letter by letter", () => {
    const word = (letters: string) => fc.string({ unit: fc.constantFrom(...letters), maxLength: 12 });
    fc.assert(
      fc.property(word("ab"), word("ab*"), (label, pattern) => {
        expect(matchesNamePattern(label, pattern)).toBe(slowMatch(label, pattern));
      }),
      { numRuns: 5_000 },
    );
  });

  it("matches what was made from the pattern", () => {
    const piece = fc.string({ unit: fc.constantFrom("a", "b", "1", "-"), maxLength: 6 });
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 6 }),
        fc.array(piece, { minLength: 6 }),
        (pieces, fill) => {
          const label = pieces.map((text, at) => (at === 0 ? text : `${fill[at] ?? ""}${text}`)).join("");
          expect(matchesNamePattern(label, pieces.join("*"))).toBe(true);
        },
      ),
    );
  });

  it("takes no longer for a pattern made to be slow", () => {
    const began = performance.now();
    for (let count = 0; count < 1_000; count += 1) matchesNamePattern("a".repeat(63), `${"*a".repeat(31)}b`);
    expect(performance.now() - began).toBeLessThan(HANG_MS);
  });
});

describe("isAllowedName", () => {
  it("asks for a match in every list, and allows all without lists", () => {
    expect(isAllowedName("dog1", [])).toBe(true);
    expect(isAllowedName("cat1", [["cat*", "dog*"], ["cat1"]])).toBe(true);
    expect(isAllowedName("dog1", [["cat*", "dog*"], ["cat1"]])).toBe(false);
    expect(isAllowedName("cat1", [[]])).toBe(false);
  });

  it("has no names of its own that everybody may open", () => {
    for (const name of ["__proto__", "constructor", "toString", ""])
      expect(isAllowedName(name, [["cat*"]])).toBe(false);
  });
});

describe("checkNamePattern", () => {
  it.each([
    ["cat1", "cat1"],
    ["Ben-*", "ben-*"],
    ["a**b***", "a*b*"],
    ["*", "*"],
  ])("takes %j as %j", (pattern, canonical) => {
    expect(checkNamePattern(pattern)).toBe(canonical);
  });

  it.each([
    ["", "it is empty"],
    ["-a*", "no name starts or ends with a hyphen"],
    ["*-", "no name starts or ends with a hyphen"],
    ["a.b", "only a-z, 0-9, hyphens and * are allowed"],
    ["__proto__", "only a-z, 0-9, hyphens and * are allowed"],
    ["käse*", "only a-z, 0-9, hyphens and * are allowed"],
    ["[a-z]+", "only a-z, 0-9, hyphens and * are allowed"],
    ["a".repeat(64), "it has 64 characters, at most 63 fit"],
  ])("refuses %j: %s", (pattern, why) => {
    expect(() => checkNamePattern(pattern)).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message: expect.stringContaining(why),
        hint: "Take a label, in which * stands for any characters, such as cat1 or ben-*.",
      }),
    );
  });

  it("checks lists: not empty, each once, bounded", () => {
    expect(checkNamePatterns(null)).toBeNull();
    expect(checkNamePatterns(["Cat*", "cat*", "dog"])).toEqual(["cat*", "dog"]);
    expect(() => checkNamePatterns([])).toThrow(expect.objectContaining({ code: "DPX_USAGE" }));
    const many = Array.from({ length: MAX_NAME_PATTERNS + 1 }, (_, at) => `n${at}`);
    expect(checkNamePatterns(many.slice(1))).toHaveLength(MAX_NAME_PATTERNS);
    expect(() => checkNamePatterns(many)).toThrow(expect.objectContaining({ code: "DPX_USAGE" }));
  });
});

/** By the book, in exponential time. */
function slowMatch(label: string, pattern: string): boolean {
  const [letter, ...others] = pattern;
  const rest = others.join("");
  if (letter === undefined) return label === "";
  if (letter !== "*") return label.startsWith(letter) && slowMatch(label.slice(1), rest);
  for (let from = 0; from <= label.length; from += 1) if (slowMatch(label.slice(from), rest)) return true;
  return false;
}
