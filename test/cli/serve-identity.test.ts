// What `serve` makes of its flags: who may come in, and where that is kept.

import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { CommandContext } from "../../src/cli/context.ts";
import { SERVE_FLAGS } from "../../src/cli/flags.ts";
import { readCluster, readIdentity } from "../../src/cli/serve-identity.ts";
import { SettingsValues } from "../../src/cli/settings-values.ts";
import { createRecorder } from "./support/recorder.ts";

function given(flags: Record<string, unknown>, env: NodeJS.ProcessEnv = {}): [CommandContext, SettingsValues] {
  const stdin = Object.assign(new PassThrough(), { isTTY: false });
  const raw = new Map(Object.entries(flags));
  const context: CommandContext = {
    ...{ env, cwd: "/", stdin, stdout: createRecorder(undefined), stderr: createRecorder(undefined) },
    ...{ version: "0.1.0", flags: raw, words: [], args: [] },
  };
  return [context, new SettingsValues(SERVE_FLAGS, { flags: raw, env, files: [] })];
}

describe("readIdentity", () => {
  it.each([
    ["--backend", { backend: ["http://10.0.0.1:7071"] }],
    ["--redis", { redis: "redis://10.0.0.9" }],
    ["--redis", { redis: "redis://10.0.0.9", noAuth: true }],
  ])("refuses a data folder beside %s, which keeps nothing in it", (flag, flags) => {
    expect(() => readIdentity(...given({ ...flags, data: "/srv/data" }))).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message: `Cannot keep accounts in --data /srv/data: with ${flag} they are kept there`,
        hint: `Leave out --data, or ${flag}.`,
      }),
    );
  });

  it("heeds no data folder of the environment beside them: images name one for all", () => {
    const env = { DUPLEXITY_DATA: "/data/server" };
    expect(readIdentity(...given({ backend: ["http://10.0.0.1:7071"] }, env))).toMatchObject({
      store: { kind: "backend" },
    });
    expect(readIdentity(...given({ redis: "redis://10.0.0.9" }, env))).toMatchObject({ store: { kind: "redis" } });
    expect(readIdentity(...given({}, env))).toMatchObject({ store: { kind: "folder", path: "/data/server" } });
  });
});

describe("readCluster", () => {
  it("refuses a Redis in which nothing would be kept: without accounts, and without a secret to share names by", () => {
    const flags = { redis: "redis://10.0.0.9", noAuth: true };
    expect(() => readCluster(...given(flags))).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message:
          "Cannot use --redis with --no-auth: there are no accounts to keep in it, and no other nodes to share names with",
        hint: "Leave it out, or add --cluster-secret-file FILE, the same for all nodes.",
      }),
    );
    const env = { DUPLEXITY_CLUSTER_SECRET: "0123456789abcdef" };
    expect(readCluster(...given(flags, env))).toMatchObject({ redisUrl: "redis://10.0.0.9" });
    expect(readCluster(...given({ redis: "redis://10.0.0.9" }))).toBeUndefined();
  });

  it("refuses a secret that is too short, and says where it is", () => {
    const [context, values] = given({}, { DUPLEXITY_CLUSTER_SECRET: "0123456789abcdef 0123456789abcde" });
    expect(() => readCluster(context, values)).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message: "Cannot use the cluster secret in DUPLEXITY_CLUSTER_SECRET: it has 15 characters, wanted 16 or more",
        hint: "Make one: openssl rand -hex 32",
      }),
    );
  });
});
