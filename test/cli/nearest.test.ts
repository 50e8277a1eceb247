import { describe, expect, it } from "vitest";
import { nearest } from "../../src/cli/nearest.ts";

describe("nearest", () => {
  it("finds the word with one letter wrong, missing or turned", () => {
    expect(nearest("sever", ["listen", "server", "serve"])).toBe("server");
    expect(nearest("pipse", ["pipes", "serve"])).toBe("pipes");
    expect(nearest("LISTEN", ["listen"])).toBe("listen");
  });

  it("finds nothing when nothing is close, or the word is absurdly long", () => {
    expect(nearest("banana", ["listen", "server"])).toBeNull();
    expect(nearest("x".repeat(1_000_000), ["x".repeat(64)])).toBeNull();
    expect(nearest("a", [])).toBeNull();
  });
});
