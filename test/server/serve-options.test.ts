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

describe("Roles", () => {
  const SECRETS = ["cluster-secret-0123456789abcdef"];
  const BACKENDS = ["http://10.0.0.1:7071"];
  const AT_BACKEND = { kind: "accounts", store: { kind: "backend" } } as const;

  it("are all of them by default", () => {
    expect(resolveServeOptions(BASE).roles).toEqual(["auth", "backend", "hub", "proxy"]);
  });

  it("know the backend by its addresses, each once, or Redis where they are it", () => {
    const backends = ["http://10.0.0.1:7071/", "http://10.0.0.1:7071", "http://[fd00::1]:7071"];
    const node = resolveServeOptions({ ...BASE, roles: ["proxy", "hub"], cluster: { secrets: SECRETS, backends } });
    expect(node.roles).toEqual(["hub", "proxy"]);
    expect(node.cluster?.shared).toEqual({
      kind: "nodes",
      origins: ["http://10.0.0.1:7071", "http://[fd00::1]:7071"],
    });
    const redisUrl = "redis://10.0.0.9";
    const backend = resolveServeOptions({ ...BASE, roles: ["backend"], cluster: { secrets: SECRETS, redisUrl } });
    expect(backend.cluster?.shared).toEqual({ kind: "redis", url: redisUrl });
  });

  it.each<[string, Partial<ServeOptions>, string]>([
    [
      "a node URL that its listener does not speak",
      { cluster: { secrets: SECRETS, redisUrl: "redis://10.0.0.9", nodeUrl: "https://10.0.0.1:7071" } },
      "Cannot be reached at https://10.0.0.1:7071: --internal-listen speaks http",
    ],
    [
      "a secret that could be guessed",
      { cluster: { secrets: ["changeit"], redisUrl: "redis://10.0.0.9" } },
      "Cannot use the cluster secrets: expected one or 2 of at least 16 characters",
    ],
    ["none", { roles: [] }, "Cannot start without a role"],
    ["one twice", { roles: ["hub", "hub"] }, 'Cannot take the role "hub" twice'],
    ["one missing alone", { roles: ["hub", "proxy"] }, "Cannot start without the role auth"],
    ["no way to a backend", { roles: ["hub"], cluster: { secrets: SECRETS } }, "no node is named that has it"],
    [
      "a way to a backend for one",
      { roles: ["backend"], cluster: { secrets: SECRETS, redisUrl: "redis://10.0.0.9", backends: BACKENDS } },
      "Cannot have both the role backend and --backend",
    ],
    [
      "Redis without it",
      { roles: ["hub"], cluster: { secrets: SECRETS, redisUrl: "redis://10.0.0.9" } },
      "only backend nodes know Redis",
    ],
    ["a backend without Redis", { roles: ["backend"], cluster: { secrets: SECRETS } }, "they share no Redis"],
    [
      "a backend that is no address",
      { roles: ["hub"], cluster: { secrets: SECRETS, backends: ["http://10.0.0.1:7071/path"] } },
      'Cannot use the backend "http://10.0.0.1:7071/path"',
    ],
    [
      "a backend with TLS for a node that has no certificate",
      { roles: ["hub"], cluster: { secrets: SECRETS, backends: ["https://10.0.0.1:7071"] } },
      "Cannot ask the backend https://10.0.0.1:7071: this node has no certificate to show it",
    ],
    [
      "no way to a backend, before where the accounts are",
      { roles: ["hub"], cluster: { secrets: SECRETS }, identity: { kind: "accounts", store: { kind: "memory" } } },
      "no node is named that has it",
    ],
    [
      "a way to a backend for one, before where the accounts are",
      { cluster: { secrets: SECRETS, backends: BACKENDS }, identity: AT_BACKEND },
      "Cannot have both the role backend and --backend",
    ],
    ["one missing alone, before where the accounts are", { roles: ["hub"], identity: AT_BACKEND }, "the role auth"],
    [
      "an address for clients without a hub",
      {
        roles: ["backend"],
        cluster: { secrets: SECRETS, redisUrl: "redis://10.0.0.9", nodePublicUrl: "https://a.example.com" },
      },
      "Cannot use --node-public-url without the role hub",
    ],
    [
      "TCP ports without a backend",
      { roles: ["hub"], cluster: { secrets: SECRETS, backends: BACKENDS }, tcpPorts: { from: 20_000, to: 20_001 } },
      "Cannot have TCP ports without the roles backend, hub, proxy",
    ],
    [
      "accounts of its own without a backend",
      {
        roles: ["hub"],
        cluster: { secrets: SECRETS, backends: BACKENDS },
        identity: { kind: "accounts", store: { kind: "memory" } },
      },
      "Cannot keep accounts without the role backend",
    ],
    [
      "accounts at a backend that it does not know",
      { identity: { kind: "accounts", store: { kind: "backend" } } },
      "Cannot have the accounts at a backend: this node knows none",
    ],
  ])("refuse %s", (_what, options, message) => {
    const error = refusalOf({ ...BASE, ...options });
    expect(error.code).toBe("DPX_USAGE");
    expect(error.message).toContain(message);
  });
});
