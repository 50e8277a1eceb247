// The bearer token of a server without accounts.

import { describe, expect, it } from "vitest";
import { AdminTokenAuthenticator, isLoopbackHost } from "../../../src/server/identity/index.ts";

const TOKEN = "0123456789abcdef";
const REQUEST = { method: "GET", host: "h", path: "/control" };

describe("AdminTokenAuthenticator", () => {
  it.each([`Bearer ${TOKEN}`, `bearer   ${TOKEN} `])("takes %j", async (authorization) => {
    const authenticator = new AdminTokenAuthenticator(`${TOKEN}\n`);
    expect(await authenticator.authenticate({ ...REQUEST, authorization })).toEqual({
      ownerId: "admin",
      ownerName: "admin",
      isAdmin: true,
      namePatterns: [],
      expiresAt: null,
      proof: { kind: "admin-token" },
    });
  });

  it.each([
    [`Bearer ${TOKEN}x`, "DPX_AUTH_INVALID"],
    [`Bearer ${TOKEN.slice(1)}`, "DPX_AUTH_INVALID"],
    [`Bearer ${TOKEN.toUpperCase()}`, "DPX_AUTH_INVALID"],
    [`Bearer ${TOKEN} ${TOKEN}`, "DPX_AUTH_REQUIRED"],
    [`Basic ${TOKEN}`, "DPX_AUTH_REQUIRED"],
    [TOKEN, "DPX_AUTH_REQUIRED"],
    ["", "DPX_AUTH_REQUIRED"],
    [undefined, "DPX_AUTH_REQUIRED"],
  ])("refuses %j with %s and never says the token", async (authorization, code) => {
    const authenticator = new AdminTokenAuthenticator(TOKEN);
    const error: unknown = await authenticator
      .authenticate({ ...REQUEST, authorization })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect(JSON.stringify(error) + String(error)).not.toContain(TOKEN);
  });

  it.each([
    ["", "0 characters"],
    ["short", "5 characters"],
    [" ".repeat(20), "0 characters"],
    ["ä".repeat(20), "cannot hold"],
    ["x".repeat(5_000), "more than 4096"],
  ])("does not start with %j", (token, why) => {
    expect(() => new AdminTokenAuthenticator(token)).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message: expect.stringContaining(why),
        hint: expect.stringContaining("openssl rand"),
      }),
    );
  });
});

describe("isLoopbackHost", () => {
  it.each(["127.0.0.1", "127.255.255.254", "::1", "[::1]", "localhost", "LocalHost", "0:0:0:0:0:0:0:1"])(
    "takes %s",
    (host) => {
      expect(isLoopbackHost(host)).toBe(true);
    },
  );
  it.each(["0.0.0.0", "::", "128.0.0.1", "10.0.0.1", "localhost.evil.com", "laptop", "", "127.0.0.1.evil.com", "[::]"])(
    "refuses %s",
    (host) => {
      expect(isLoopbackHost(host)).toBe(false);
    },
  );
});
