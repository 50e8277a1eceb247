// A gate's passwords as hashes that can be told to a server: made by the client, checked by the proxy. Keeps nothing.

import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";

const SALT_BYTES = 16;
const KEY_BYTES = 32;
/** RFC 7914 §2: N = 2^15 with r = 8 takes 32 MiB and some 100 ms. Node refuses what needs more than `maxmem`. */
const COST = { N: 32_768, r: 8, p: 1, maxmem: 67_108_864 };
const PREFIX = "$scrypt$ln=15,r=8,p=1$";

/** Hashes `password` with a salt of its own, in the form of `GateUser.hash`. */
export async function hashGatePassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt);
  return `${PREFIX}${unpadded(salt)}$${unpadded(key)}`;
}

/** Whether `hash`, which `isGateHash` has found to be one, was made of `password`. */
export async function isGatePassword(password: string, hash: string): Promise<boolean> {
  const [salt = "", key = ""] = hash.slice(PREFIX.length).split("$");
  const expected = Buffer.from(key, "base64");
  const derived = await derive(password, Buffer.from(salt, "base64"));
  return expected.length === derived.length && timingSafeEqual(expected, derived);
}

/** RFC 7617 §2.1 with RFC 8265 §4.2: NFC, so that keyboards that compose letters in another way fit, too. */
function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize(), salt, KEY_BYTES, COST, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
