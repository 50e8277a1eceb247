// The commands as people and scripts use them: several `up`s, status, down, exit statuses, output, signals.

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HANG_MS } from "../support/bars.ts";
import {
  createHome,
  type DuplexityProcess,
  runDuplexity,
  spawnDuplexity,
  spawnUp,
  startServer,
  startUp,
} from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { numberOf, textOf } from "../support/lines.ts";
import { argvOf } from "../support/memory.ts";
import { startPeopleServer } from "../support/people.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { startTunnel } from "../support/tunnel.ts";
import { openVisit, visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

describe("Several ups of one person", () => {
  it("show in status, and go by name or all at once", async () => {
    const server = await startServer(stage);
    const origin = await startHttpOrigin(stage);
    const home = await createHome(stage);
    const first = await startUp(stage, server.url, [`one:${origin.target}`], { home });
    const second = await startUp(stage, server.url, [`two:${origin.target}`, `three:${origin.target}`], { home });
    await visit(server.port, "one.localhost", "/hello");

    const status = await runDuplexity(stage, ["status", "--json"], { home });
    expect(status.status).toBe(0);
    expect(status.lines.map((line) => textOf(line, "name")).sort()).toEqual(["one", "three", "two"]);
    const one = status.lines.find((line) => line.name === "one");
    expect(one).toMatchObject({ v: 1, type: "pipe", clientId: first.clientId, pid: first.process.pid, state: "up" });
    expect(one).toMatchObject({ requests: 1, target: `http://${origin.target}` });

    const down = await runDuplexity(stage, ["down", "one"], { home });
    expect([down.status, down.stdout]).toEqual([0, "✔ closed one\n"]);
    expect(await first.process.exited()).toEqual({ status: 0, signal: null });
    expect((await visit(server.port, "one.localhost", "/hello")).status).toBe(404);
    expect((await visit(server.port, "two.localhost", "/hello")).status).toBe(200);

    const part = await runDuplexity(stage, ["down", "two"], { home });
    expect(part.status).toBe(0);
    expect((await visit(server.port, "two.localhost", "/hello")).status).toBe(404);
    expect((await visit(server.port, "three.localhost", "/hello")).status).toBe(200);
    expect(second.process.hasExited).toBe(false);

    expect((await runDuplexity(stage, ["down", "--all"], { home })).status).toBe(0);
    expect(await second.process.exited()).toEqual({ status: 0, signal: null });
    const empty = await runDuplexity(stage, ["status", "--json"], { home });
    expect([empty.status, empty.stdout]).toEqual([0, ""]);
  });

  it("are told apart by person: down does not reach another's", async () => {
    const tunnel = await startTunnel(stage);
    const stranger = await createHome(stage);
    const down = await runDuplexity(stage, ["down", "cat1"], { home: stranger });
    expect(down.status).toBe(1);
    expect(down.stderr).toContain("DPX_NOT_RUNNING");
    expect((await tunnel.visit("/hello")).status).toBe(200);
  });

  it("list what the server knows of them", async () => {
    const tunnel = await startTunnel(stage);
    const listed = await runDuplexity(stage, ["list", "--json", "--server", tunnel.serverUrl], { home: tunnel.home });
    expect(listed.status, listed.stdout + listed.stderr).toBe(0);
    expect(listed.lines).toHaveLength(1);
    expect(listed.lines[0]).toMatchObject({ type: "client", clientId: tunnel.up.clientId });
    const others = await runDuplexity(stage, ["list", "--json", "--server", tunnel.serverUrl]);
    expect([others.status, others.lines]).toEqual([0, []]);
  });
});

describe("up", () => {
  it("comes back with its name after kill -9, and leaves no trace of the dead one", async () => {
    const tunnel = await startTunnel(stage);
    tunnel.up.process.kill("SIGKILL");
    await tunnel.up.process.exited();
    const again = await startUp(stage, tunnel.serverUrl, [`cat1:${tunnel.origin.target}`], { home: tunnel.home });
    expect(again.pipes[0]?.hostname).toBe(tunnel.hostname);
    expect((await tunnel.visit("/hello")).body).toBe("hello");
    const status = await runDuplexity(stage, ["status", "--json"], { home: tunnel.home });
    expect(status.lines.map((line) => line.pid)).toEqual([again.process.pid]);
  });

  it("gives a bare target the same name each time", async () => {
    const server = await startServer(stage);
    const origin = await startHttpOrigin(stage);
    const home = await createHome(stage);
    const args = ["up", "--json", "--server", server.url, String(origin.port)];
    const names: string[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      const up = await spawnDuplexity(stage, args, { home });
      const ready = await up.nextLine("ready");
      names.push(JSON.stringify(ready.pipes));
      up.kill("SIGTERM");
      expect(await up.exited()).toEqual({ status: 0, signal: null });
    }
    expect(names[0]).toBe(names[1]);
  });

  it("prints bare URLs on stdout when it is no terminal, in the order given, and all else on stderr", async () => {
    const server = await startServer(stage);
    const pipes = ["--pipe", "b:9090", "--pipe", "a:9091"];
    const up = await spawnDuplexity(stage, ["up", "--server", server.url, ...pipes]);
    await up.untilPrinted("a.localhost");
    up.kill("SIGINT");
    expect(await up.exited()).toEqual({ status: 0, signal: null });
    expect(up.stdout).toBe(`http://b.localhost:${server.port}\nhttp://a.localhost:${server.port}\n`);
    expect(up.stderr).not.toContain("\x1b");
  });

  it("tells of each request with --log-requests", async () => {
    const tunnel = await startTunnel(stage, { upArgs: ["--log-requests"] });
    await tunnel.visit("/status/418?q=1", { method: "POST", body: "abc" });
    const line = await tunnel.up.process.nextLine("request");
    expect(line).toMatchObject({ method: "POST", path: "/status/418?q=1", status: 418, requestBytes: 3 });
    expect(numberOf(line, "durationMs")).toBeGreaterThanOrEqual(0);
  });

  it("runs in the background with -d until down", async () => {
    const server = await startServer(stage);
    const origin = await startHttpOrigin(stage);
    const home = await createHome(stage);
    const pipe = `cat1:${origin.target}`;
    const up = await runDuplexity(stage, ["up", "-d", "--json", "--server", server.url, "--pipe", pipe], { home });
    stage.defer(() => runDuplexity(stage, ["down", "--all"], { home }));
    expect(up.status, up.printed()).toBe(0);
    expect((await visit(server.port, "cat1.localhost", "/hello")).body).toBe("hello");
    const status = await runDuplexity(stage, ["status", "--json"], { home });
    const pid = numberOf(status.lines[0] ?? { v: 1, type: "none" }, "pid");
    expect((await runDuplexity(stage, ["down", "cat1"], { home })).status).toBe(0);
    await poll(
      () =>
        argvOf(pid).then(
          (argv) => argv === "",
          () => true,
        ),
      5_000,
      "its end",
    );
    expect((await visit(server.port, "cat1.localhost", "/hello")).status).toBe(404);
  });

  it("in the background fails in the foreground when it cannot start", async () => {
    const port = await freePort();
    const up = await runDuplexity(stage, ["up", "-d", "--server", `http://127.0.0.1:${port}`, "9090"]);
    expect(up.status, up.printed()).toBe(3);
    expect(up.stderr).toContain("DPX_SERVER_UNREACHABLE");
  });
});

describe("Exit status", () => {
  const usage: readonly (readonly string[])[] = [
    ["up"],
    ["up", "--no-such-flag"],
    ["up", "--pipe", "cat1"],
    ["up", "--pipe", "-bad-:9090"],
    ["up", "--pipe", "www:9090"],
    ["up", "--pipe", "cat1:9090", "--pipe", "cat1:9091"],
    ["up", "--pipe", "cat1:ftp://localhost"],
    ["up", "--pipe", "cat1:localhost:99999"],
    ["up", "9090", "--server", "ftp://example.com"],
    ["serve", "--no-auth", "--listen", "0.0.0.0:0"],
    ["serve", "--no-auth", "--listen", "127.0.0.1:0", "--internal-listen", "0.0.0.0:0"],
    ["serve", "--no-auth", "--tcp-ports", "9-1"],
    ["serve", "--no-auth", "--drain", "soon"],
    ["nonsense"],
    ["down"],
  ];
  it.each(usage.map((args) => [args.join(" "), args] as const))("2 for: %s", async (_what, args) => {
    const run = await runDuplexity(stage, [...args]);
    expect(run.status, run.printed()).toBe(2);
    expect(run.stdout).toBe("");
    expect(run.stderr).toMatch(/✖ .+ {6}DPX_(USAGE|NAME_INVALID|NAME_RESERVED|TARGET_INVALID)\n/);
  });

  it("2 with --json is one error line on stdout", async () => {
    const run = await runDuplexity(stage, ["up", "--json", "--pipe", "www:9090"]);
    expect(run.status).toBe(2);
    expect(run.lines).toHaveLength(1);
    expect(run.lines[0]).toMatchObject({ v: 1, type: "error", code: "DPX_NAME_RESERVED" });
    expect(Object.keys(run.lines[0] ?? {}).sort()).toEqual(["code", "docs", "hint", "message", "type", "v"]);
  });

  it("3 when the server can't be reached at first", async () => {
    const run = await runDuplexity(stage, ["up", "--json", "--server", `http://127.0.0.1:${await freePort()}`, "9090"]);
    expect(run.status).toBe(3);
    expect(run.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_SERVER_UNREACHABLE" });
  });

  it("4 for a wrong token and for none, 0 for the right one", async () => {
    const token = "s3cret-token-of-the-admin-0123456789";
    const server = await startServer(stage, { identity: [], env: { DUPLEXITY_ADMIN_TOKEN: token } });
    const args = ["up", "--json", "--server", server.url, "--pipe", "cat1:9090"];
    const wrong = await runDuplexity(stage, args, { env: { DUPLEXITY_TOKEN: `${token}x` } });
    expect([wrong.status, wrong.lines.at(-1)?.code]).toEqual([4, "DPX_AUTH_INVALID"]);
    const none = await runDuplexity(stage, args);
    expect([none.status, none.lines.at(-1)?.code]).toEqual([4, "DPX_AUTH_REQUIRED"]);
    const right = await spawnDuplexity(stage, args, { env: { DUPLEXITY_TOKEN: token } });
    await right.nextLine("ready");
    right.kill("SIGTERM");
    expect((await right.exited()).status).toBe(0);
    await expectSecretNowhere(token, [server.process, right, wrong]);
  });

  it("5 when another owner has the name", async () => {
    const tunnel = await startTunnel(stage);
    const other = await spawnUp(stage, tunnel.serverUrl, ["free:9090", "cat1:9090"]);
    expect((await other.exited()).status).toBe(5);
    expect(other.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_NAME_TAKEN" });
    expect(textOf(other.lines.at(-1) ?? { v: 1, type: "none" }, "message")).toMatch(/^Cannot register "cat1": /);
    expect((await visit(tunnel.server.port, "free.localhost", "/")).status).toBe(404);
    expect((await tunnel.visit("/hello")).status).toBe(200);
  });

  it("0 for the first Ctrl-C, once the running request is answered", async () => {
    const tunnel = await startTunnel(stage);
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/events");
    const source = await stream;
    tunnel.up.process.kill("SIGINT");
    // New work is refused while the old goes on.
    await poll(async () => (await tunnel.visit("/hello")).status !== 200, 5_000, "the pipe to close");
    source.end("data: last words\n\n");
    let text = "";
    for await (const chunk of response) text += chunk;
    expect(text).toContain("last words");
    expect(await tunnel.up.process.exited()).toEqual({ status: 0, signal: null });
    expect(tunnel.up.process.lines.at(-1)).toMatchObject({ type: "closed" });
  });

  it("130 for the second Ctrl-C, at once", async () => {
    const tunnel = await startTunnel(stage);
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/events");
    response.on("error", () => {});
    await stream;
    tunnel.up.process.kill("SIGINT");
    await poll(async () => (await tunnel.visit("/hello")).status !== 200, 5_000, "the pipe to close");
    const start = performance.now();
    tunnel.up.process.kill("SIGINT");
    expect(await tunnel.up.process.exited()).toEqual({ status: 130, signal: null });
    expect(performance.now() - start).toBeLessThan(HANG_MS);
  });

  it("0 for a server that drained, which lets the running request finish and tells its clients", async () => {
    const tunnel = await startTunnel(stage);
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/events");
    const source = await stream;
    tunnel.server.process.kill("SIGTERM");
    await tunnel.server.process.nextLine("draining");
    source.end("data: last words\n\n");
    let text = "";
    for await (const chunk of response) text += chunk;
    expect(text).toContain("last words");
    await tunnel.server.process.nextLine("stopped");
    expect(await tunnel.server.process.exited()).toEqual({ status: 0, signal: null });
    expect(tunnel.up.process.hasExited).toBe(false);
  });
});

describe("serve", () => {
  it("lets nobody in who has not signed in, and says what to do", async () => {
    const server = await startPeopleServer(stage);
    const up = await runDuplexity(stage, ["up", "--json", "--server", server.url, "--pipe", "cat1:9090"]);
    expect(up.status).toBe(4);
    expect(up.lines[0]).toMatchObject({ type: "error", code: "DPX_AUTH_REQUIRED" });
    expect(up.lines[0]?.hint).toMatch(/duplexity login/);
  });

  it("says which port is in use", async () => {
    const first = await startServer(stage);
    const args = ["--no-auth", "--listen", `127.0.0.1:${first.port}`, "--internal-listen", "127.0.0.1:0"];
    const run = await runDuplexity(stage, ["serve", "--json", ...args]);
    expect(run.status).toBe(1);
    expect(run.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_LISTEN" });
    expect(run.lines.at(-1)?.message).toContain(String(first.port));
  });

  it("takes the token from a file, and keeps every secret out of argv, output and open files", async () => {
    const folder = await stage.folder("token");
    const token = "token-in-a-file-0123456789abcdef";
    const { writeFile } = await import("node:fs/promises");
    await writeFile(join(folder, "token"), `${token}\n`, { mode: 0o600 });
    const server = await startServer(stage, { identity: ["--admin-token-file", join(folder, "token")] });
    const home = await createHome(stage);
    const up = await startUp(stage, server.url, ["cat1:9090"], { home, args: ["--token-file", join(folder, "token")] });
    await expectSecretNowhere(token, [server.process, up.process]);
    for (const directory of [home.configDir, home.runtimeDir]) {
      expect((await stat(directory)).mode & 0o077).toBe(0);
      for (const name of await readdir(directory)) expect((await stat(join(directory, name))).mode & 0o077).toBe(0);
    }
  });
});

describe("Output", () => {
  it("has no colours without a terminal, and none with NO_COLOR, TERM=dumb or --no-color", async () => {
    for (const [env, args] of [
      [{}, []],
      [{ NO_COLOR: "1" }, []],
      [{ TERM: "dumb" }, []],
      [{}, ["--no-color"]],
    ] as const) {
      const run = await runDuplexity(stage, ["down", "nothing", ...args], { env });
      expect(run.stdout + run.stderr).not.toContain("\x1b");
    }
  });

  it("has colours on a terminal that are gone with NO_COLOR, TERM=dumb or --no-color", async () => {
    const coloured = await onTerminal(["down", "nothing"], { TERM: "xterm-256color" });
    expect(coloured).toContain("\x1b[");
    expect(await onTerminal(["down", "nothing"], { TERM: "xterm-256color", NO_COLOR: "1" })).not.toContain("\x1b[");
    expect(await onTerminal(["down", "nothing"], { TERM: "dumb" })).not.toContain("\x1b[");
    expect(await onTerminal(["down", "nothing", "--no-color"], { TERM: "xterm-256color" })).not.toContain("\x1b[");
  });

  it("of --help and --version is on stdout with status 0", async () => {
    const help = await runDuplexity(stage, ["--help"]);
    expect(help.status).toBe(0);
    for (const command of ["up", "down", "status", "list", "login", "kick", "user", "token", "serve"])
      expect(help.stdout).toContain(`  ${command} `);
    const version = await runDuplexity(stage, ["--version"]);
    expect([version.status, version.stdout]).toEqual([0, "0.1.0\n"]);
  });
});

/** What the command prints on a terminal of 80 columns: `script` makes one. */
async function onTerminal(args: readonly string[], env: Record<string, string>): Promise<string> {
  const { execFile } = await import("node:child_process");
  const home = await createHome(stage);
  const command = [process.execPath, join(import.meta.dirname, "../../bin/duplexity.js"), ...args].join(" ");
  return new Promise((resolve) => {
    execFile(
      "script",
      ["-qec", command, "/dev/null"],
      {
        env: {
          PATH: process.env.PATH,
          HOME: home.configDir,
          DUPLEXITY_CONFIG_DIR: home.configDir,
          DUPLEXITY_RUNTIME_DIR: home.runtimeDir,
          ...env,
        },
      },
      (_error, stdout) => resolve(stdout),
    );
  });
}

async function expectSecretNowhere(secret: string, processes: readonly DuplexityProcess[]): Promise<void> {
  for (const running of processes) {
    expect(running.stdout + running.stderr).not.toContain(secret);
    if (!running.hasExited) expect(await argvOf(running.pid)).not.toContain(secret);
  }
}
