import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readProjectFile } from "../../src/cli/settings-file.ts";

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "dpx-file-"));
});
afterEach(() => rmSync(cwd, { recursive: true }));

function write(content: unknown, name = "duplexity.json"): void {
  writeFileSync(join(cwd, name), typeof content === "string" ? content : JSON.stringify(content));
}

describe("readProjectFile", () => {
  it("answers null when there is none here, but not when one was named", () => {
    expect(readProjectFile("client", { cwd })).toBeNull();
    expect(() => readProjectFile("client", { cwd, path: "other.json" })).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message: 'Cannot read the config file "other.json": there is no such file',
      }),
    );
  });

  it("reads pipes as an object or as a list, and each side its own keys", () => {
    write({ server: "http://a", pipes: { cat1: "localhost:9090", cat2: 9091 }, serve: { listen: "8080" } });
    expect([...(readProjectFile("client", { cwd })?.values ?? [])]).toEqual([
      ["server", "http://a"],
      ["pipe", ["cat1:localhost:9090", "cat2:9091"]],
    ]);
    expect([...(readProjectFile("serve", { cwd })?.values ?? [])]).toEqual([["listen", "8080"]]);
    write({ pipes: ["cat1:9090"] });
    expect(readProjectFile("client", { cwd })?.values.get("pipe")).toEqual(["cat1:9090"]);
  });

  it("refuses an unknown key and names the nearest, on either side", () => {
    write({ sevrer: "http://a" });
    expect(() => readProjectFile("serve", { cwd })).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", hint: 'Did you mean "server"?' }),
    );
    write({ serve: { tcpPort: "1" } });
    expect(() => readProjectFile("client", { cwd })).toThrow(
      expect.objectContaining({
        message: 'Cannot use the key "tcpPort" in "serve" in duplexity.json: there is no such setting',
        hint: 'Did you mean "tcpPorts"?',
      }),
    );
  });

  it("refuses keys that every object has", () => {
    write('{"__proto__": {"server": "x"}}');
    expect(() => readProjectFile("client", { cwd })).toThrow(/__proto__/);
    write('{"constructor": 1}');
    expect(() => readProjectFile("client", { cwd })).toThrow(/constructor/);
  });

  it("refuses what is no JSON object, and a file beyond the limit", () => {
    write("{");
    expect(() => readProjectFile("client", { cwd })).toThrow(/it is not JSON/);
    write([1]);
    expect(() => readProjectFile("client", { cwd })).toThrow(/not a JSON object/);
    write(JSON.stringify({ server: "x".repeat(300_000) }));
    expect(() => readProjectFile("client", { cwd })).toThrow(/over 262144 bytes/);
  });

  it("lets a file that is merely found here not choose which token is sent", () => {
    write({ server: "http://evil.example", tokenFile: "/home/me/.ssh/id" });
    expect(() => readProjectFile("client", { cwd })).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", message: expect.stringContaining('Cannot take "tokenFile"') }),
    );
    expect(readProjectFile("client", { cwd, path: "duplexity.json" })?.values.get("tokenFile")).toBe(
      "/home/me/.ssh/id",
    );
  });

  it("lets it not choose either whose passwords are hashed and sent, but who may come in by address or sign-in", () => {
    write({ server: "http://evil.example", basicAuth: "/home/me/.netrc" });
    expect(() => readProjectFile("client", { cwd })).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message: expect.stringContaining('Cannot take "basicAuth"'),
        hint: "Set DUPLEXITY_BASIC_AUTH, or name the file: --config duplexity.json",
      }),
    );
    write({ allowCidr: ["192.0.2.0/24"], login: true });
    expect([...(readProjectFile("client", { cwd })?.values ?? [])]).toEqual([
      ["allowCidr", ["192.0.2.0/24"]],
      ["login", true],
    ]);
  });
});
