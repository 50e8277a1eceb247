// What a server's refusal of a sign-in is in our words.

import { ResponseBodyError } from "openid-client";
import { describe, expect, it } from "vitest";
import { signInFailure } from "../../src/cli/sign-in/failure.ts";

function refused(status: number, headers: Readonly<Record<string, string>>): ResponseBodyError {
  const response = new Response("", { status, headers });
  return new ResponseBodyError("refused", { cause: { error: "slow_down", error_description: "too many" }, response });
}

describe("signInFailure", () => {
  it.each([
    ["40", "Try again in 40 s."],
    ["soon", undefined],
  ])("says when to come back after too many attempts: Retry-After %s", (after, hint) => {
    const failure = signInFailure("sign in to http://x", "http://x", refused(429, { "retry-after": after }));
    expect([failure.code, failure.message, failure.hint]).toEqual([
      ...["DPX_RATE_LIMIT", "Cannot sign in to http://x: slow_down: too many", hint],
    ]);
  });
});
