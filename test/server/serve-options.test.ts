import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../src/protocol/index.ts";
import type { ServeOptions } from "../../src/server/index.ts";
import { resolveServeOptions } from "../../src/server/serve-options.ts";

const BASE: ServeOptions = { identity: { kind: "no-auth" } };

function refusalOf(options: ServeOptions): DuplexityError {
  try {
    resolveServeOptions(options);
  } catch (error) {
    if (error instanceof DuplexityError) return error;
    throw error;
  }
  throw new Error("Nothing was refused");
}

describe("resolveServeOptions", () => {
  it("refuses a public URL whose host would be a pipe's, and says which domain fits", () => {
    const error = refusalOf({ ...BASE, publicUrl: "https://tunnel.example.com" });
    expect(error.code).toBe("DPX_USAGE");
    expect(error.message).toBe(
      'Cannot use the public URL "https://tunnel.example.com": its host is not the domain, which is "localhost"',
    );
    expect(error.hint).toBe("Write --domain tunnel.example.com as well.");
  });

  it.each([
    ["https://tunnel.example.com", "tunnel.example.com"],
    ["https://Tunnel.Example.com.:8443", "tunnel.example.com"],
    ["http://localhost:9000", "tunnel.example.com"],
    ["http://127.0.0.1:9000", "localhost"],
    ["http://[::1]:9000", "localhost"],
  ])("takes the public URL %s with the domain %s", (publicUrl, domain) => {
    expect(resolveServeOptions({ ...BASE, publicUrl, domain }).publicUrl?.href).toBe(new URL(publicUrl).href);
  });
});
