import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openUserSettings } from "../../src/cli/settings.ts";

let parent: string;
let directory: string;
let warnings: string[];
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "dpx-settings-"));
  directory = join(parent, "config");
  warnings = [];
});
afterEach(() => rmSync(parent, { recursive: true }));

async function open() {
  return openUserSettings({ env: { DUPLEXITY_CONFIG_DIR: directory }, warn: (message) => warnings.push(message) });
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

describe("openUserSettings", () => {
  it("leaves the signals alone: a library's answer to one would count as a second Ctrl-C", async () => {
    const before = ["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => process.listenerCount(signal));
    mkdirSync(directory);
    writeFileSync(join(directory, "config.json"), "{}");
    await open();
    expect(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => process.listenerCount(signal))).toEqual(before);
  });

  it("makes a client key once, for its owner alone", async () => {
    const key = await (await open()).clientKey();
    expect(key).toMatchObject({ kty: "OKP", crv: "Ed25519" });
    expect(await (await open()).clientKey()).toEqual(key);
    expect(modeOf(directory)).toBe(0o700);
    expect(modeOf(join(directory, "client-key.json"))).toBe(0o600);
    expect(readdirSync(directory)).toEqual(["client-key.json"]);
    expect(warnings).toEqual([]);
  });

  it("gives processes that start together the same key", async () => {
    const settings = fileURLToPath(new URL("../../dist/cli/settings.js", import.meta.url));
    const script = `
      const { openUserSettings } = await import(${JSON.stringify(settings)});
      console.log((await (await openUserSettings({ env: process.env, warn() {} })).clientKey()).x);`;
    const env = { ...process.env, DUPLEXITY_CONFIG_DIR: directory };
    const runs = Array.from({ length: 6 }, () =>
      promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { env }),
    );
    const keys = await Promise.all(runs);
    expect(new Set(keys.map(({ stdout }) => stdout)).size).toBe(1);
  });

  it("refuses a folder that others may write in, and leaves it as it is", async () => {
    await open();
    for (const mode of [0o1777, 0o770, 0o702]) {
      chmodSync(directory, mode);
      await expect(open()).rejects.toThrow(`Cannot use the settings folder "${directory}": others may write there`);
      expect(statSync(directory).mode & 0o7777).toBe(mode);
    }
  });

  it("closes its files to others and says so, but leaves a folder that is there as it is", async () => {
    await (await open()).clientKey();
    writeFileSync(join(directory, "config.json"), "{}");
    for (const name of ["", "client-key.json", "config.json"]) chmodSync(join(directory, name), 0o755);
    await (await open()).clientKey();
    expect(modeOf(directory)).toBe(0o755);
    expect(modeOf(join(directory, "client-key.json"))).toBe(0o600);
    expect(modeOf(join(directory, "config.json"))).toBe(0o600);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain("was open to others (mode 755); it is 600 now");
  });

  it("refuses a key file that holds no key, and leaves it as it is", async () => {
    await open();
    const path = join(directory, "client-key.json");
    for (const content of ["", "{}", '{"kty":"OKP","crv":"Ed25519","x":"a","d":"b"}']) {
      writeFileSync(path, content);
      await expect((await open()).clientKey()).rejects.toMatchObject({ code: "DPX_USAGE" });
      expect(readFileSync(path, "utf8")).toBe(content);
    }
  });

  it("reads the default server, and refuses an unknown key", async () => {
    await open();
    writeFileSync(join(directory, "config.json"), '{"server":"http://a"}');
    expect((await open()).values("client").values.get("server")).toBe("http://a");
    writeFileSync(join(directory, "config.json"), '{"sever":"http://a"}');
    const settings = await open();
    expect(() => settings.values("client")).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", hint: 'Did you mean "server"?' }),
    );
  });

  it("refuses a config.json that is no JSON, and says where it is", async () => {
    await open();
    writeFileSync(join(directory, "config.json"), "{");
    await expect(open()).rejects.toMatchObject({ code: "DPX_USAGE", message: expect.stringContaining(directory) });
  });
});
