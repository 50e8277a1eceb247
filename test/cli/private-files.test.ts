import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeDirectory } from "../../src/cli/private-files.ts";
import { openLogFile } from "../../src/cli/runtime/log-file.ts";
import { openUpSocket } from "../../src/cli/runtime/up-socket.ts";
import { readOrMakeKey } from "../../src/cli/settings-key.ts";
import { startDetached } from "../../src/cli/up-detached.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dpx-private-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe("makeDirectory", () => {
  it("refuses a path below a file", () => {
    writeFileSync(join(directory, "file"), "");
    expect(() => makeDirectory(join(directory, "file"))).toThrow("EEXIST");
    expect(() => makeDirectory(join(directory, "file", "below"))).toThrow("ENOTDIR");
  });

  it.runIf(existsSync("/proc/self"))("ends where a folder takes no children", () => {
    expect(() => makeDirectory("/proc/x/y")).toThrow("ENOENT");
  });
});

// /proc: a folder that nobody can write in, root neither. /dev/full: a full disk.
describe.runIf(existsSync("/proc/self") && existsSync("/dev/full"))("what cannot be written", () => {
  const failure = (path: RegExp, variable: string) =>
    expect.objectContaining({
      code: "DPX_USAGE",
      message: expect.stringMatching(path),
      hint: expect.stringContaining(variable),
    });

  it("is named with what to do: the client key, the log, the socket", async () => {
    await expect(readOrMakeKey("/proc", () => {})).rejects.toEqual(
      failure(/^Cannot write "\/proc\/client-key\.json": ENOENT/, "DUPLEXITY_CONFIG_DIR"),
    );
    await expect(startDetached({}, "/proc")).rejects.toEqual(
      failure(/^Cannot write "\/proc\/up-.*\.log": ENOENT/, "DUPLEXITY_RUNTIME_DIR"),
    );
    await expect(openUpSocket("/proc", { status: never, down: never })).rejects.toEqual(
      failure(/^Cannot write "\/proc\/.*\.sock": /, "DUPLEXITY_RUNTIME_DIR"),
    );
  });

  it("costs a log its lines, and no more", () => {
    const log = openLogFile("/dev/full");
    expect(() => log.write("a line\n")).not.toThrow();
    log.close();
  });
});

function never(): never {
  throw new Error("unused");
}
