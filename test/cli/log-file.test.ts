import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newLogPath, openLogFile } from "../../src/cli/runtime/log-file.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dpx-log-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("openLogFile", () => {
  it("keeps the newer half in whole lines when the file grows beyond its bound", () => {
    const path = join(directory, "up.log");
    const log = openLogFile(path, 100);
    for (let index = 0; index < 50; index++) log.write(`line ${index}\n`);
    log.close();
    const text = readFileSync(path, "utf8");
    expect(text.length).toBeLessThanOrEqual(100);
    expect(text.endsWith("line 48\nline 49\n")).toBe(true);
    expect(text).toMatch(/^line \d+\n/);
  });

  it("leaves what another descriptor appended", () => {
    const path = join(directory, "up.log");
    const log = openLogFile(path);
    log.write("one\n");
    writeFileSync(path, "a crash\n", { flag: "a" });
    log.write("two\n");
    log.close();
    expect(readFileSync(path, "utf8")).toBe("one\na crash\ntwo\n");
  });
});

describe("newLogPath", () => {
  it("removes all but the newest logs, and nothing else", () => {
    for (let index = 0; index < 30; index++) {
      const path = join(directory, `up-${index}.log`);
      writeFileSync(path, "");
      utimesSync(path, 1_000 + index, 1_000 + index);
    }
    writeFileSync(join(directory, "1-00000000.sock"), "");
    newLogPath(directory);
    const left = readdirSync(directory);
    expect(left).toHaveLength(20);
    expect(left).toContain("1-00000000.sock");
    expect(left).toContain("up-29.log");
    expect(left).not.toContain("up-10.log");
  });
});
