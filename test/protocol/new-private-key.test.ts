// New keys: right ones, and made without the hang of Node that an export of a fresh pair can end in.

import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { describe, expect, it } from "vitest";
import { newPrivateKey } from "../../src/protocol/index.ts";

describe("newPrivateKey", () => {
  it.each([
    ["Ed25519", "OKP", null],
    ["P-256", "EC", "sha256"],
  ] as const)("makes a %s key that signs, and of which the public half verifies", (curve, kty, hash) => {
    const { d = "", ...open } = newPrivateKey(curve);
    expect(open).toMatchObject({ kty, crv: curve });
    const content = Buffer.from("content");
    const signature = sign(hash, content, createPrivateKey({ key: { ...open, d }, format: "jwk" }));
    expect(verify(hash, content, createPublicKey({ key: open, format: "jwk" }), signature)).toBe(true);
    expect(newPrivateKey(curve).d).not.toBe(d);
  });
});
