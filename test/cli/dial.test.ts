import { describe, expect, it } from "vitest";
import { explain, type ServerAccess } from "../../src/cli/dial.ts";
import { DuplexityError } from "../../src/protocol/errors.ts";

function hintOf(hint: string | undefined, isDefault: boolean): string | undefined {
  const access: ServerAccess = {
    server: "https://a.example",
    isDefault,
    token: undefined,
    isSignedIn: false,
    key: undefined,
  };
  return explain(new DuplexityError("DPX_SERVER_UNREACHABLE", "Cannot reach it", { hint }), access).hint;
}

describe("explain", () => {
  it("keeps what the dial knows to be wrong with a server that was named", () => {
    expect(hintOf("Is it http:// instead of https://?", false)).toBe("Is it http:// instead of https://?");
    expect(hintOf(undefined, false)).toBe("Check the address, or start it there: duplexity serve");
  });

  it("says that no server was named, whatever is wrong with the one that was tried", () => {
    for (const hint of [undefined, "x"]) expect(hintOf(hint, true)).toContain("No server was named");
  });
});
