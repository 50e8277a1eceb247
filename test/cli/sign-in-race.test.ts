// Processes of the built command that want the next token of one sign-in at the same moment. A refresh token that is used
// twice ends the whole sign-in (RFC 9700 §4.14.2), so one of them has to do it for all.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { run as login } from "../../src/cli/commands/login.ts";
import { readSignIns, writeSignIns } from "../../src/cli/sign-in/file.ts";
import { useStage } from "../support/stage.ts";
import { runCommand } from "./support/run-command.ts";
import { SignInServer } from "./support/sign-in-server.ts";

const COMMAND = fileURLToPath(new URL("../../bin/duplexity.js", import.meta.url));
const PROCESSES = 8;
const stage = useStage();

interface Ended {
  readonly status: number | null;
  readonly output: string;
}

function spawnCommand(args: readonly string[], settings: string): Promise<Ended> {
  const env = { PATH: process.env.PATH ?? "", DUPLEXITY_CONFIG_DIR: settings };
  const child = spawn(process.execPath, [COMMAND, ...args], { env, cwd: settings });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, output })));
}

/** Of a process that was, and is no more. */
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", "0"]);
  await once(child, "close");
  return child.pid ?? 0;
}

/** As if an hour had gone by. */
function age(settings: string): void {
  const path = join(settings, "sign-ins.json");
  const list = readSignIns(path, () => {});
  writeSignIns(path, { ...list, signIns: list.signIns.map((each) => ({ ...each, obtainedAt: 0, expiresAt: 1 })) });
}

describe("a stored sign-in", () => {
  it("is renewed once by eight processes that start at once, and again later: the grant survives", async () => {
    const settings = await stage.folder("race");
    const server = await SignInServer.start(stage);
    const flags = { json: true, noBrowser: true };
    const command = runCommand(login, { settings, words: [server.origin], flags });
    while (command.lines().length === 0) await once(command.stdout, "data");
    await server.browse(String(command.lines()[0]?.url));
    await command.ended;

    for (const round of [1, 2]) {
      age(settings);
      server.asked.length = 0;
      // The second time they find the lock of one that has died.
      const dead = { pid: await deadPid(), host: hostname(), nonce: 1 };
      if (round === 2) writeFileSync(join(settings, "sign-ins.json.lock"), JSON.stringify(dead));
      const all = await Promise.all(
        Array.from({ length: PROCESSES }, () => spawnCommand(["whoami", "--json"], settings)),
      );
      expect(all.map(({ status, output }) => (status === 0 ? 0 : output))).toEqual(Array(PROCESSES).fill(0));
      expect([round, server.asked.filter((each) => each === "POST /token").length]).toEqual([round, 1]);
    }
  }, 60_000);

  it("that the server has ended makes a command exit 4 with the one to run", async () => {
    const settings = await stage.folder("ended");
    const server = await SignInServer.start(stage);
    writeSignIns(join(settings, "sign-ins.json"), {
      current: server.origin,
      signIns: [
        {
          ...{ server: server.origin, user: "ben", token: "a.b.c", obtainedAt: 0, expiresAt: 1 },
          renewal: { issuer: `${server.origin}/auth`, refreshToken: "unknown" },
        },
      ],
    });
    const { status, output } = await spawnCommand(["up", "9090", "--json"], settings);
    expect(status).toBe(4);
    expect(JSON.parse(output)).toMatchObject({
      type: "error",
      code: "DPX_AUTH_INVALID",
      message: `Cannot renew the sign-in at ${server.origin}: it has ended`,
      hint: `duplexity login ${server.origin}`,
    });
    expect(output).not.toContain("unknown");
  });
});
