// Where secrets are read from, and what is said of a file that is of no use or that everybody can read.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSecret, readSecrets } from "../../src/cli/credentials.ts";
import { SettingsValues } from "../../src/cli/settings-values.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const FLAG = { key: "clusterSecretFile", syntax: "--cluster-secret-file <file>", kind: "text", help: "" } as const;

async function fileWith(text: string, mode: number) {
  const cwd = await stage.folder("secret");
  const path = join(cwd, "secret");
  await writeFile(path, text, { mode });
  const warnings: string[] = [];
  const values = new SettingsValues([FLAG], { flags: new Map([["clusterSecretFile", path]]), env: {}, files: [] });
  const options = {
    ...{ what: "cluster secret", fileKey: "clusterSecretFile", variable: "DUPLEXITY_CLUSTER_SECRET", env: {}, cwd },
    warn: (message: string) => warnings.push(message),
  };
  return { path, values, options, warnings };
}

describe("readSecrets", () => {
  it("calls an empty file by what should be in it", async () => {
    const { path, values, options } = await fileWith("\n", 0o600);
    const error = { code: "DPX_USAGE", message: `Cannot use the cluster secret in "${path}": it is empty` };
    expect(() => readSecrets(values, options, { most: 2, leastChars: 3 })).toThrow(expect.objectContaining(error));
    expect(() => readSecret(values, options)).toThrow(expect.objectContaining(error));
  });

  it("takes a file that everybody can read, and warns", async () => {
    const { path, values, options, warnings } = await fileWith("one two\n", 0o644);
    expect(readSecrets(values, options, { most: 2, leastChars: 3 })).toEqual(["one", "two"]);
    expect(warnings).toEqual([
      `everybody on this machine can read the cluster secret in "${path}"; chmod o-r takes that right`,
    ]);
  });

  it.each([0o600, 0o640])("says nothing of a file of mode %o", async (mode) => {
    const { values, options, warnings } = await fileWith("one", mode);
    expect(readSecrets(values, options, { most: 2, leastChars: 3 })).toEqual(["one"]);
    expect(warnings).toEqual([]);
  });
});
