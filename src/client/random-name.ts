// Names for pipes that were given none: readable, and the same each time for
// one machine and target. Not a secret.

import { createHash } from "node:crypto";
import { ADJECTIVES, NOUNS } from "./name-words.ts";

/** No digits that look like letters, no vowels that make words. */
const SUFFIX_ALPHABET = "23456789bcdfghjkmnpqrstvwxz";
const SUFFIX_CHARS = 4;

/** `adjective-noun-xxxx` from what identifies this machine and the target's canonical form. About 31 bits. */
export function randomName(identity: string, target: string): string {
  // The lengths keep ("a", "bc") and ("ab", "c") apart.
  const digest = createHash("sha256").update(`duplexity-name-1\n${identity.length}\n${identity}\n${target}`).digest();
  const adjective = ADJECTIVES[digest.readUInt16BE(0) % ADJECTIVES.length] ?? "calm";
  const noun = NOUNS[digest.readUInt16BE(2) % NOUNS.length] ?? "river";
  let rest = digest.readUIntBE(4, 6);
  let suffix = "";
  for (let index = 0; index < SUFFIX_CHARS; index += 1) {
    suffix += SUFFIX_ALPHABET[rest % SUFFIX_ALPHABET.length] ?? "x";
    rest = Math.floor(rest / SUFFIX_ALPHABET.length);
  }
  return `${adjective}-${noun}-${suffix}`;
}
