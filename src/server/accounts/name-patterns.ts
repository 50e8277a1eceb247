// What labels somebody may open: `cat1`, `ben-*`. Pure, and linear in what it reads.

import { DuplexityError, MAX_LABEL_CHARS } from "../../protocol/index.ts";

/** One account or token has at most so many. */
export const MAX_NAME_PATTERNS = 64;

/** Whether `label` (lower case) is one of `pattern`'s, in which `*` stands for any run of characters, none as well. */
export function matchesNamePattern(label: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return label === pattern;
  if (!label.startsWith(first) || !label.endsWith(last)) return false;
  // Each piece as far to the left as it fits: a later place would only leave less for the next one.
  let from = first.length;
  const end = label.length - last.length;
  for (const piece of rest) {
    const at = label.indexOf(piece, from);
    if (at === -1) return false;
    from = at + piece.length;
  }
  return from <= end;
}

/** Whether `label` (lower case) matches a pattern of each list, as an identity carries them. */
export function isAllowedName(label: string, patterns: readonly (readonly string[])[]): boolean {
  return patterns.every((list) => list.some((pattern) => matchesNamePattern(label, pattern)));
}

/**
 * `pattern` in lower case, each run of stars as one.
 *
 * @throws {DuplexityError} `DPX_USAGE`, with what would be right.
 */
export function checkNamePattern(pattern: string): string {
  const plain = pattern.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/\*+/g, "*");
  if (plain === "") throw badPattern(pattern, "it is empty");
  if (plain.length > MAX_LABEL_CHARS) {
    throw badPattern(
      pattern.slice(0, MAX_LABEL_CHARS),
      `it has ${plain.length} characters, at most ${MAX_LABEL_CHARS} fit`,
    );
  }
  if (!/^[a-z0-9*-]+$/.test(plain)) throw badPattern(pattern, "only a-z, 0-9, hyphens and * are allowed");
  if (plain.startsWith("-") || plain.endsWith("-")) throw badPattern(pattern, "no name starts or ends with a hyphen");
  return plain;
}

/**
 * Each of `patterns` as {@link checkNamePattern} answers it; null (any name) stays null.
 *
 * @throws {DuplexityError} `DPX_USAGE`, with what would be right.
 */
export function checkNamePatterns(patterns: readonly string[] | null): readonly string[] | null {
  if (patterns === null) return null;
  if (patterns.length === 0) throw badPattern("", "there is none, so that no name could be opened");
  if (patterns.length > MAX_NAME_PATTERNS) {
    throw badPattern(`${patterns[0]}, …`, `there are ${patterns.length}, at most ${MAX_NAME_PATTERNS} fit`);
  }
  return [...new Set(patterns.map(checkNamePattern))];
}

function badPattern(pattern: string, why: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot use the name pattern "${pattern}": ${why}`, {
    hint: "Take a label, in which * stands for any characters, such as cat1 or ben-*.",
  });
}
