// The built command, as far as it goes without a server: what it refuses, how it says so, with which status.

import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const COMMAND = fileURLToPath(new URL("../../bin/duplexity.js", import.meta.url));
/** Nothing listens there: port 9 is discard's, and loopback refuses at once. */
const NO_SERVER = "http://127.0.0.1:9";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dpx-cli-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function run(args: readonly string[], env: Record<string, string> = {}, cwd = folder) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], {
    cwd,
    encoding: "utf8",
    timeout: 20_000,
    env: {
      PATH: process.env.PATH ?? "",
      DUPLEXITY_CONFIG_DIR: join(folder, "config"),
      DUPLEXITY_RUNTIME_DIR: join(folder, "run"),
      ...env,
    },
  });
  return { status, stdout, stderr };
}

describe("duplexity", () => {
  it("lists this version's commands and no others", () => {
    const { status, stdout, stderr } = run(["--help"]);
    expect(status).toBe(0);
    expect(stderr).toBe("");
    expect([...stdout.matchAll(/^ {2}([a-z]+) (?=.* {2})/gm)].map((match) => match[1])).toEqual([
      "up",
      "down",
      "status",
      "list",
      "login",
      "logout",
      "whoami",
      "kick",
      "unban",
      "audit",
      "user",
      "token",
      "serve",
    ]);
  });

  it("shows its version", () => {
    expect(run(["--version"])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it("answers 2 and its help on stderr when no command is given", () => {
    expect(run([])).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining("Commands:") });
  });
});

describe("usage errors", () => {
  const cases: readonly { what: string; args: readonly string[]; message: string; code?: string }[] = [
    {
      what: "an unknown flag, with the nearest",
      args: ["up", "9090", "--sever", "x"],
      message: "Did you mean --server?",
    },
    { what: "an unknown flag, with its command's help", args: ["up", "--prot"], message: "duplexity up --help" },
    { what: "an unknown command", args: ["banana"], message: "duplexity --help" },
    { what: "an unknown command, with the nearest", args: ["stauts"], message: "Did you mean status?" },
    { what: "a flag without its value", args: ["up", "--pipe"], message: "argument missing" },
    { what: "no target", args: ["up"], message: "duplexity up 9090" },
    {
      what: "a bad target",
      args: ["up", "ftp://localhost:1"],
      message: '"ftp://" is not a scheme',
      code: "DPX_TARGET_INVALID",
    },
    {
      what: "a port that does not exist",
      args: ["up", "99999"],
      message: "from 1 to 65535",
      code: "DPX_TARGET_INVALID",
    },
    { what: "a pipe without a name", args: ["up", "--pipe", "localhost:9090"], message: "wanted NAME:TARGET" },
    {
      what: "a bad name",
      args: ["up", "--pipe", "c_t:9090"],
      message: "only a-z, 0-9 and hyphens",
      code: "DPX_NAME_INVALID",
    },
    {
      what: "a reserved name",
      args: ["up", "--pipe", "www:9090"],
      message: "it is reserved",
      code: "DPX_NAME_RESERVED",
    },
    { what: "the same name twice", args: ["up", "--pipe", "a:1", "--pipe", "A:2"], message: 'two pipes called "a"' },
    {
      what: "the same target twice",
      args: ["up", "9090", "localhost:9090"],
      message: "two pipes to http://localhost:9090",
    },
    {
      what: "a bad server address",
      args: ["up", "9090", "--server", "ws://a"],
      message: "http:// or https:// address",
    },
    {
      what: "a token file that is not there",
      args: ["up", "9090", "--token-file", "none"],
      message: 'Cannot read the token in "none"',
    },
    {
      what: "a token file without an end",
      args: ["up", "9090", "--token-file", "/dev/zero"],
      message: "it has characters that none has",
    },
    {
      what: "a file of visitors that is not there",
      args: ["up", "9090", "--basic-auth", "none"],
      message: 'Cannot read the visitors\' passwords in "none" (--basic-auth)',
    },
    {
      what: "a network that is none",
      args: ["up", "9090", "--allow-cidr", "10.0.0.0/8", "--allow-cidr", "ten"],
      message: 'from "ten": it is not a network',
    },
    {
      what: "a sign-in at a TCP pipe",
      args: ["up", "9090", "tcp://localhost:1", "--login"],
      message: "it is a TCP pipe",
    },
    { what: "a word too many", args: ["status", "now"], message: "Too many arguments" },
    { what: "down without a name", args: ["down"], message: "Cannot tell what to close" },
    { what: "down with names and --all", args: ["down", "a", "--all"], message: "together with --all" },
    {
      what: "half of another provider",
      args: ["serve", "--oidc-issuer", "https://id.test"],
      message: "--oidc-client-id is missing",
    },
    { what: "only another provider, and none", args: ["serve", "--oidc-only"], message: "--oidc-issuer URL" },
    { what: "a password in argv", args: ["serve", "--redis", "redis://:pw@127.0.0.1"], message: "DUPLEXITY_REDIS" },
    {
      what: "a password in argv, of a Redis behind Sentinels",
      args: ["serve", "--redis", "redis+sentinel://:pw@one,two/main"],
      message: "DUPLEXITY_REDIS",
    },
    { what: "a Redis that is none", args: ["serve", "--redis", "http://x"], message: "redis+sentinel://host[:port]" },
    { what: "a bad time", args: ["serve", "--no-auth", "--drain", "soon"], message: "wanted a time such as" },
    { what: "a bad address", args: ["serve", "--no-auth", "--listen", "here"], message: "wanted an address such as" },
    {
      what: "half of a TLS identity",
      args: ["serve", "--no-auth", "--tls-cert", "a.pem"],
      message: "--tls-key is missing",
    },
    {
      what: "a log level that does not exist",
      args: ["serve", "--no-auth", "--log-level", "all"],
      message: "debug, info, warn, error",
    },
  ];

  it.each(cases)("refuses $what", ({ args, message, code = "DPX_USAGE" }) => {
    const { status, stdout, stderr } = run(args);
    expect(stderr).toContain(message);
    expect(stderr).toContain(code);
    expect(stdout).toBe("");
    expect(status).toBe(2);
  });

  it("are one JSON line on stdout with --json, also when the flags were not understood", () => {
    for (const args of [
      ["up", "--json", "--sever", "x"],
      ["serve", "--json", "--oidc-only"],
    ]) {
      const { status, stdout, stderr } = run(args);
      expect(status).toBe(2);
      expect(stderr).toBe("");
      expect(stdout.endsWith("\n")).toBe(true);
      expect(JSON.parse(stdout)).toEqual({
        ...{ v: 1, type: "error", code: "DPX_USAGE", docs: "docs/errors.md#dpx_usage" },
        ...{ message: expect.any(String), hint: expect.any(String) },
      });
    }
  });

  it("never show a token", () => {
    writeFileSync(join(folder, "two-lines"), "s3cret-one\ns3cret-two\n");
    const { status, stdout, stderr } = run(["up", "9090", "--token-file", "two-lines"]);
    expect(status).toBe(2);
    expect(stdout + stderr).not.toContain("s3cret");
    expect(run(["up", "9090"], { DUPLEXITY_TOKEN: "s3cret one" }).stderr).not.toContain("s3cret");
  });

  it("never show a visitor's password", () => {
    writeFileSync(join(folder, "visitors"), "ada:s3cret-one\nada:s3cret-two\n", { mode: 0o644 });
    const { status, stdout, stderr } = run(["up", "9090", "--basic-auth", "visitors"]);
    expect(status).toBe(2);
    expect(stderr).toContain('Cannot let "ada" in: there are two of that name');
    expect(stderr).toContain("others may read it");
    expect(stdout + stderr).not.toContain("s3cret");
  });

  it("of a misspelt key in the project file name the nearest", () => {
    writeFileSync(join(folder, "other.json"), '{"pipse": {"cat1": "9090"}}');
    expect(run(["up", "--config", "other.json"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('Did you mean "pipes"?'),
    });
  });
});

describe("a token", () => {
  const TOKEN = "s3cret-0123456789abcdef";
  let project: string;
  beforeAll(() => {
    project = join(folder, "project");
    mkdirSync(project);
    writeFileSync(join(project, "duplexity.json"), JSON.stringify({ server: NO_SERVER, pipes: { cat1: 9090 } }));
    writeFileSync(join(folder, "token"), TOKEN);
  });

  it.each([["up"], ["list"]])("of %s does not go to a server that only a found project file names", (command) => {
    for (const env of [{ DUPLEXITY_TOKEN: TOKEN }, { DUPLEXITY_TOKEN_FILE: join(folder, "token") }]) {
      const { status, stdout, stderr } = run([command], env, project);
      expect(stderr).toContain(`Cannot send the token to ${NO_SERVER}: only duplexity.json`);
      expect(stderr).toContain("DPX_USAGE");
      for (const way of [`--server ${NO_SERVER}`, "DUPLEXITY_SERVER", "--config duplexity.json"]) {
        expect(stderr).toContain(way);
      }
      expect(stdout + stderr).not.toContain(TOKEN);
      expect(status).toBe(2);
    }
  });

  it("goes there once this person has named the server, in any way", () => {
    const env = { DUPLEXITY_TOKEN: TOKEN };
    expect(run(["up", "--server", NO_SERVER], env, project).status).toBe(3);
    expect(run(["up"], { ...env, DUPLEXITY_SERVER: NO_SERVER }, project).status).toBe(3);
    expect(run(["up", "--config", "duplexity.json"], env, project).status).toBe(3);
  });

  it("is not needed there: a key's proof is for that one server, and goes", () => {
    expect(run(["up"], {}, project)).toMatchObject({ status: 3, stderr: expect.stringContaining(NO_SERVER) });
  });

  it("that would go unencrypted to another machine is warned of in one line", () => {
    const args = ["list", "--server"];
    const far = run([...args, "http://0.0.0.0:9"], { DUPLEXITY_TOKEN: TOKEN });
    expect(far.stderr.split("\n")[0]).toBe(
      "duplexity: the token goes to http://0.0.0.0:9 unencrypted, for all on the way to read; use https://",
    );
    expect(far.status).toBe(3);
    expect(run([...args, NO_SERVER], { DUPLEXITY_TOKEN: TOKEN }).stderr).not.toContain("unencrypted");
    expect(run([...args, "http://0.0.0.0:9"]).stderr).not.toContain("unencrypted");
  });
});

describe("duplexity up and list", () => {
  it("answer 3 when no server can be reached, and say what to do", () => {
    for (const args of [
      ["up", "9090", "--server", NO_SERVER],
      ["list", "--server", NO_SERVER],
    ]) {
      const { status, stdout, stderr } = run(args);
      expect(stderr).toContain("DPX_SERVER_UNREACHABLE");
      expect(stderr).toContain(NO_SERVER);
      expect(stderr).toContain("duplexity serve");
      expect(stdout).toBe("");
      expect(status).toBe(3);
    }
  });

  it("say so in the same words", () => {
    const [up, list] = ["up", "list"].map((command) => {
      const { stderr } = run([command, ...(command === "up" ? ["9090"] : []), "--server", NO_SERVER]);
      return stderr.slice(stderr.indexOf("✖"));
    });
    expect(list).toBe(up);
    expect(list).toContain("nothing listens there (ECONNREFUSED)");
  });

  it("answer 3 in the background as well", () => {
    const { status, stdout, stderr } = run(["up", "9090", "--server", NO_SERVER, "-d"]);
    expect(stderr).toContain("DPX_SERVER_UNREACHABLE");
    expect(stdout).toBe("");
    expect(status).toBe(3);
  });

  it("warn once about a key that others can read, and leave the folder as it is", () => {
    const config = join(folder, "config");
    expect(run(["up", "9090", "--server", NO_SERVER]).stderr).toContain("ECONNREFUSED");
    chmodSync(config, 0o755);
    chmodSync(join(config, "client-key.json"), 0o644);
    expect(run(["up", "9090", "--server", NO_SERVER]).stderr).toContain("was open to others");
    expect(run(["up", "9090", "--server", NO_SERVER]).stderr).not.toContain("was open to others");
    expect(statSync(config).mode & 0o777).toBe(0o755);
  });
});

describe("duplexity status and down", () => {
  it("say that nothing runs", () => {
    expect(run(["status"])).toMatchObject({
      status: 0,
      stdout: "",
      stderr: expect.stringContaining("No pipes run here"),
    });
    expect(run(["status", "--json"])).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(run(["down", "--all"])).toMatchObject({ status: 0, stdout: "" });
    expect(run(["down", "cat1"])).toMatchObject({ status: 1, stderr: expect.stringContaining("DPX_NOT_RUNNING") });
  });
});

describe("folders that take no files", () => {
  // Where mkdir's own recursion never returns.
  it.runIf(process.platform === "linux").each([
    ["settings", { DUPLEXITY_CONFIG_DIR: "/proc/x/y" }],
    ["settings", { DUPLEXITY_CONFIG_DIR: "", XDG_CONFIG_HOME: "/proc/x" }],
    ["runtime", { DUPLEXITY_RUNTIME_DIR: "/proc/x" }],
  ])("are refused at once: %s, %o", (which, env) => {
    const { status, stdout, stderr } = run(["up", "-d", "9090", "--server", NO_SERVER], env);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(
      new RegExp(`^✖ Cannot (make|use) the ${which} folder "/proc/x.*ENOENT.*DPX_USAGE\\n  Hint  Set DUPLEXITY_`),
    );
  });
});

describe("a misspelt variable", () => {
  it("gets one line on stderr, and the command goes on", () => {
    const { status, stdout, stderr } = run(["status"], { DUPLEXITY_JSNO: "1" });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
    expect(stderr).toMatch(
      /^duplexity: nothing reads the variable "DUPLEXITY_JSNO"; did you mean DUPLEXITY_JSON\?\nNo pipes/,
    );
  });
});
