import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureRuntimeDirectory, newSocketPath, runtimeDirectory } from "../../src/cli/runtime/directory.ts";
import { MAX_LINE_BYTES, type UpStatus } from "../../src/cli/runtime/messages.ts";
import { askDown, findUps } from "../../src/cli/runtime/running-ups.ts";
import { openUpSocket } from "../../src/cli/runtime/up-socket.ts";

const STATUS: UpStatus = {
  ...{ v: 1, type: "status", pid: 1, clientId: "c", server: "http://a", state: "up", awaySince: null },
  ...{ upSince: "2026-11-23T12:00:00.000Z", requests: 0, openStreams: 0, bytesIn: 0, bytesOut: 0 },
  ...{ rttMs: null, lastByteAt: null, pipes: [] },
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dpx-ups-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Leaves a socket as a process does that was killed. */
function leaveDeadSocket(path: string): void {
  const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script]);
}

describe("findUps", () => {
  it("finds running ones, oldest first, and hands a down through", async () => {
    const downs: (readonly string[] | null)[] = [];
    const down = async (names: readonly string[] | null) => {
      downs.push(names);
      return ["cat1"];
    };
    const younger = { ...STATUS, clientId: "younger", upSince: "2026-11-23T13:00:00.000Z" };
    const sockets = [
      await openUpSocket(directory, { status: () => younger, down }),
      await openUpSocket(directory, { status: () => STATUS, down }),
    ];
    for (const { path } of sockets) expect(statSync(path).mode & 0o777).toBe(0o600);
    const { ups, silent } = await findUps(directory);
    expect(ups.map((up) => up.status.clientId)).toEqual(["c", "younger"]);
    expect(silent).toEqual([]);
    expect(await askDown(ups[0]?.path ?? "", ["cat1"])).toEqual({ v: 1, type: "downed", names: ["cat1"] });
    expect(downs).toEqual([["cat1"]]);
    await Promise.all(sockets.map((socket) => socket.close()));
    expect(readdirSync(directory)).toEqual([]);
  });

  it("removes the socket of one that was killed, and nothing else", async () => {
    leaveDeadSocket(newSocketPath(directory));
    const socket = await openUpSocket(directory, { status: () => STATUS, down: async () => [] });
    expect(readdirSync(directory)).toHaveLength(2);
    expect((await findUps(directory)).ups).toHaveLength(1);
    expect(readdirSync(directory)).toHaveLength(1);
    await socket.close();
  });

  it("reports one that does not answer instead of waiting for it, and leaves its socket", async () => {
    const frozen = createServer(() => {}).listen(newSocketPath(directory));
    await once(frozen, "listening");
    const { ups, silent } = await findUps(directory);
    expect(ups).toEqual([]);
    expect(silent).toMatchObject([{ reason: "no answer within 2000 ms" }]);
    expect(readdirSync(directory)).toHaveLength(1);
    frozen.close();
  });

  it("reports one that answers nonsense", async () => {
    const liar = createServer((socket) => socket.end('{"v":1,"type":"status"}\n')).listen(newSocketPath(directory));
    await once(liar, "listening");
    expect((await findUps(directory)).silent).toMatchObject([
      { reason: "it answers in a way that this version does not know" },
    ]);
    liar.close();
  });

  it("finds nothing where there is no folder", async () => {
    expect(await findUps(join(directory, "none"))).toEqual({ ups: [], silent: [] });
  });
});

describe("openUpSocket", () => {
  async function say(text: string): Promise<string> {
    const socket = await openUpSocket(directory, { status: () => STATUS, down: () => Promise.reject(new Error("no")) });
    const asker = connect(socket.path);
    let answer = "";
    asker.setEncoding("utf8").on("data", (part: string) => {
      answer += part;
    });
    asker.on("error", () => {});
    asker.write(text);
    await once(asker, "close");
    await socket.close();
    return answer;
  }

  it("refuses a line that is no request", async () => {
    expect(await say("hello\n")).toBe('{"v":1,"type":"failed","message":"not a request that this version knows"}\n');
    expect(await say('{"v":1,"type":"down","names":[1]}\n')).toContain('"failed"');
    expect(await say('{"v":2,"type":"status"}\n')).toContain('"failed"');
  });

  it("refuses a line beyond the limit without waiting for its end", async () => {
    expect(await say("x".repeat(MAX_LINE_BYTES + 1))).toContain("a line of more than 65536 bytes");
  });

  it("tells why a down failed", async () => {
    expect(await say('{"v":1,"type":"down","names":null}\n')).toBe('{"v":1,"type":"failed","message":"no"}\n');
  });
});

describe("ensureRuntimeDirectory", () => {
  it("makes the folder for its owner alone, and leaves one that is there as it is", () => {
    const path = join(directory, "run", "of", "mine");
    ensureRuntimeDirectory({ DUPLEXITY_RUNTIME_DIR: path });
    for (const made of [path, join(directory, "run")]) expect(statSync(made).mode & 0o777).toBe(0o700);
    chmodSync(path, 0o755);
    ensureRuntimeDirectory({ DUPLEXITY_RUNTIME_DIR: path });
    expect(statSync(path).mode & 0o777).toBe(0o755);
  });

  it("refuses one that others may write in, and leaves it as it is", () => {
    const path = join(directory, "shared");
    mkdirSync(path);
    for (const mode of [0o1777, 0o777, 0o770]) {
      chmodSync(path, mode);
      const ensure = () => ensureRuntimeDirectory({ DUPLEXITY_RUNTIME_DIR: path });
      expect(ensure).toThrow(`Cannot use the runtime folder "${path}": others may write there`);
      expect(statSync(path).mode & 0o7777).toBe(mode);
    }
  });

  it("refuses a symbolic link", () => {
    mkdirSync(join(directory, "real"));
    symlinkSync(join(directory, "real"), join(directory, "link"));
    expect(() => ensureRuntimeDirectory({ DUPLEXITY_RUNTIME_DIR: join(directory, "link") })).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", message: expect.stringContaining("it is not a folder") }),
    );
  });

  it("prefers its own variable, then XDG's, then the temporary folder", () => {
    expect(runtimeDirectory({ DUPLEXITY_RUNTIME_DIR: "/a", XDG_RUNTIME_DIR: "/b" })).toBe("/a");
    expect(runtimeDirectory({ XDG_RUNTIME_DIR: "/b" })).toBe(join("/b", "duplexity"));
    expect(runtimeDirectory({}).startsWith(join(tmpdir(), "duplexity-"))).toBe(true);
  });
});

describe("newSocketPath", () => {
  it("refuses a folder whose path no socket fits into", () => {
    expect(() => newSocketPath(`/${"x".repeat(100)}`)).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", message: expect.stringContaining("too long for a socket") }),
    );
  });
});
