import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readVisitors } from "../../src/cli/visitors-file.ts";

let cwd: string;
let warnings: string[];
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), "dpx-visitors-"));
  warnings = [];
});
afterEach(() => rmSync(cwd, { recursive: true }));

function read(content: string | Buffer, mode = 0o600) {
  writeFileSync(join(cwd, "visitors"), content, { mode });
  chmodSync(join(cwd, "visitors"), mode);
  return readVisitors("visitors", { cwd, place: "--basic-auth", warn: (message) => warnings.push(message) });
}

describe("readVisitors", () => {
  it("reads user:password lines, past remarks and blank ones", () => {
    expect(read("# who\n\nada:correct horse \r\n  \nbob:a:b#c\nböb:ü")).toEqual([
      { user: "ada", password: "correct horse " },
      { user: "bob", password: "a:b#c" },
      { user: "böb", password: "ü" },
    ]);
    expect(warnings).toEqual([]);
  });

  it("warns when others may read it, and leaves it as it is", () => {
    read("ada:x", 0o640);
    expect(warnings).toEqual(['"visitors" has passwords and others may read it: chmod 600']);
    expect(statSync(join(cwd, "visitors")).mode & 0o777).toBe(0o640);
  });

  it.each([
    ["a line without a colon", "ada:x\ns3cret", 'Cannot read line 2 of "visitors": it is not user:password'],
    ["a line without a user", ":s3cret", "Cannot read line 1"],
    ["a hash of htpasswd's", "ada:$2y$05$s3cret", "it has a hash, as htpasswd makes"],
    ["a SHA-1 of htpasswd's", "ada:{SHA}s3cret", "it has a hash, as htpasswd makes"],
    ["nobody", "# s3cret\n", "it names nobody"],
    ["a file without an end", Buffer.alloc(131_073, "s3cret:x\n"), "it has over 131072 bytes"],
    ["what is no UTF-8", Buffer.from("s3cret:\xff", "latin1"), "(--basic-auth)"],
  ])("refuses %s without telling it", (_what, content, message) => {
    let refusal: unknown;
    try {
      read(content);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ code: "DPX_USAGE", message: expect.stringContaining(message) });
    expect(String(refusal)).not.toContain("s3cret");
  });

  it("says which flag named a file that is not there", () => {
    expect(() => readVisitors("none", { cwd, place: "DUPLEXITY_BASIC_AUTH", warn: () => {} })).toThrow(
      /Cannot read the visitors' passwords in "none" \(DUPLEXITY_BASIC_AUTH\): ENOENT/,
    );
  });
});
