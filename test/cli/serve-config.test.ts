// `serve --print-config`, run in this process: what is decided where, and that no secret shows.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../../src/cli/commands/serve.ts";
import { useStage } from "../support/stage.ts";
import { runCommand } from "./support/run-command.ts";

const stage = useStage();
const SECRET = "a-secret-that-nobody-may-see";

async function print(
  flags: Record<string, unknown> = {},
  env: Record<string, string> = {},
  file: Record<string, unknown> = {},
): Promise<Record<string, unknown>> {
  const settings = await stage.folder("config");
  await writeFile(join(settings, "config.json"), JSON.stringify({ serve: file }), { mode: 0o600 });
  const command = runCommand(run, { settings, env, flags: { printConfig: true, ...flags } });
  expect(await command.ended).toBe(0);
  expect(command.stdout.text()).not.toContain(SECRET);
  const printed: { v: number; config: Record<string, unknown> } = JSON.parse(command.stdout.text());
  expect(printed.v).toBe(1);
  return printed.config;
}

describe("serve --print-config", () => {
  it("shows defaults in base units", async () => {
    const config = await print({}, { XDG_DATA_HOME: "/var/data" });
    expect(config).toMatchObject({
      listen: { value: "127.0.0.1:8080", from: "default" },
      drain: { value: 30_000, unit: "ms", from: "default" },
      maxHeldBytes: { value: 16_777_216, unit: "bytes", from: "default" },
      maxClients: { value: 10_000, from: "default" },
      noAuth: { value: false, from: "default" },
      publicUrl: { value: null, from: "default" },
      adminToken: { value: null, from: "default" },
      data: { value: "/var/data/duplexity-server", from: "default" },
    });
    for (const key of ["config", "json", "printConfig"]) expect(config).not.toHaveProperty(key);
  });

  it("says which place decides: flag before variable before file", async () => {
    const env = { DUPLEXITY_DRAIN: "2m", DUPLEXITY_LISTEN: "127.0.0.1:1" };
    const config = await print({ listen: "127.0.0.1:2" }, env, { drain: "5m", maxHeld: 7 });
    expect(config).toMatchObject({
      listen: { value: "127.0.0.1:2", from: "--listen" },
      drain: { value: 120_000, unit: "ms", from: "DUPLEXITY_DRAIN" },
      maxHeld: { value: 7, from: expect.stringMatching(/^"maxHeld" in .*config\.json$/) },
    });
  });

  it("says of secrets only that they are set", async () => {
    const path = join(await stage.folder("secret"), "token");
    await writeFile(path, SECRET, { mode: 0o600 });
    const redis = { DUPLEXITY_REDIS: `redis://ben:${SECRET}@127.0.0.1:6379/1` };
    expect(await print({ adminTokenFile: path }, redis)).toMatchObject({
      adminTokenFile: { value: path, from: "--admin-token-file" },
      adminToken: { value: "(set)", from: "--admin-token-file" },
      redis: { value: "redis://ben:(set)@127.0.0.1:6379/1", from: "DUPLEXITY_REDIS" },
    });
    expect(await print({}, { DUPLEXITY_ADMIN_TOKEN: SECRET })).toMatchObject({
      adminTokenFile: { value: null, from: "default" },
      adminToken: { value: "(set)", from: "DUPLEXITY_ADMIN_TOKEN" },
    });
  });

  it("shows no password of a Redis on several hosts", async () => {
    const env = { DUPLEXITY_REDIS: `redis+sentinel://:${SECRET}@one:7001,two/main` };
    expect(await print({}, env)).toMatchObject({ redis: { value: "redis+sentinel://:(set)@one:7001,two/main" } });
  });

  it("refuses what a start would refuse", async () => {
    const settings = await stage.folder("config");
    const flags = { printConfig: true, noAuth: true, listen: "0.0.0.0:8080" };
    await expect(runCommand(run, { settings, flags }).ended).rejects.toMatchObject({ code: "DPX_USAGE" });
  });
});
