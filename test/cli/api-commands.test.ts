// The commands on the server's JSON API: what they ask for, and how they show what comes. The server is the test's.

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { run as audit } from "../../src/cli/commands/audit.ts";
import { run as kick } from "../../src/cli/commands/kick.ts";
import { run as list } from "../../src/cli/commands/list.ts";
import { run as login } from "../../src/cli/commands/login.ts";
import { run as tokenCreate } from "../../src/cli/commands/token-create.ts";
import { run as tokenList } from "../../src/cli/commands/token-list.ts";
import { run as tokenRevoke } from "../../src/cli/commands/token-revoke.ts";
import { run as unban } from "../../src/cli/commands/unban.ts";
import { run as userAdd } from "../../src/cli/commands/user-add.ts";
import { run as userInvite } from "../../src/cli/commands/user-invite.ts";
import { run as userList } from "../../src/cli/commands/user-list.ts";
import { run as userRemove } from "../../src/cli/commands/user-remove.ts";
import { run as whoami } from "../../src/cli/commands/whoami.ts";
import type { Command } from "../../src/cli/context.ts";
import { SignIns } from "../../src/cli/sign-ins.ts";
import { useStage } from "../support/stage.ts";
import { type CommandRun, type CommandRunOptions, runCommand } from "./support/run-command.ts";
import { SignInServer } from "./support/sign-in-server.ts";

const stage = useStage();
let settings: string;
let server: SignInServer;

beforeEach(async () => {
  settings = await stage.folder("api");
  server = await SignInServer.start(stage);
});

function start(command: Command, options: Partial<CommandRunOptions> = {}): CommandRun {
  const env = { DUPLEXITY_SERVER: server.origin, DUPLEXITY_TOKEN: "dpx_test" };
  return runCommand(command, { settings, env, ...options });
}

/** Answers `content` to every request for `path`. */
function answer(path: string, content: object): void {
  server.api.set(path, () => ({ content: { v: 1, ...content } }));
}

const asked = () => server.calls.map(({ path, body }) => [path, body]);
const CLIENT = { clientId: "c1", user: "ben", hub: "n1", pipes: ["cat1.localhost", "cat2.localhost"] };

describe("duplexity kick", () => {
  beforeEach(() => {
    server.api.set("/api/kick", (body) => {
      const isDry = typeof body === "object" && body !== null && "dryRun" in body;
      const until = "2099-01-01T00:00:00.000Z";
      return { content: { v: 1, clients: [CLIENT], until: isDry ? null : until, auditId: isDry ? null : "e1" } };
    });
  });

  it("shows what would be hit, asks, and does it at a yes", async () => {
    const command = start(kick, { words: ["ben"], flags: { ban: "2h", reason: "loud" }, isTerminal: true });
    while (!command.stderr.text().includes("[y/N]")) await once(command.stderr, "data");
    expect(command.stderr.text()).toContain("c1      ben   cat1.localhost, cat2.localhost");
    expect(command.stderr.text()).toContain(`End this client and ban ben for 2 h at ${server.origin}? [y/N]`);
    command.stdin.write("y\n");
    expect(await command.ended).toBe(0);
    const order = { who: "ben", reason: "loud", banMs: 7_200_000 };
    expect(asked()).toEqual([
      ["/api/kick", { ...order, dryRun: true }],
      ["/api/kick", order],
    ]);
    expect(command.stdout.text()).toContain("✔ kicked c1 of ben (cat1.localhost, cat2.localhost)");
    expect(command.stdout.text()).toMatch(/✔ 1 client ended, ben is banned until 2099-01-01 .*\(audit e1\)/);
  });

  it.each(["n", "", "yess"])("does nothing at %j", async (word) => {
    const command = start(kick, { words: ["ben"], isTerminal: true });
    while (!command.stderr.text().includes("[y/N]")) await once(command.stderr, "data");
    command.stdin.write(`${word}\n`);
    await expect(command.ended).rejects.toMatchObject({ code: "DPX_CANCELLED" });
    expect(asked()).toEqual([["/api/kick", { who: "ben", dryRun: true }]]);
  });

  it("does nothing when the terminal goes away", async () => {
    const command = start(kick, { words: ["ben"], isTerminal: true });
    while (!command.stderr.text().includes("[y/N]")) await once(command.stderr, "data");
    command.stdin.end();
    await expect(command.ended).rejects.toMatchObject({ code: "DPX_CANCELLED" });
    expect(asked()).toHaveLength(1);
  });

  it("wants --yes from a script, before it asks the server for anything", async () => {
    await expect(start(kick, { words: ["ben"] }).ended).rejects.toMatchObject({
      code: "DPX_USAGE",
      hint: "Add --yes to do it without a question.",
    });
    expect(asked()).toEqual([]);
  });

  it("tells a script as one JSON line", async () => {
    const command = start(kick, { words: ["ben"], flags: { yes: true, json: true, ban: "forever" } });
    expect(await command.ended).toBe(0);
    expect(asked()).toEqual([["/api/kick", { who: "ben", banMs: "forever" }]]);
    expect(command.lines()).toEqual([
      { v: 1, type: "kicked", clients: [CLIENT], until: "2099-01-01T00:00:00.000Z", auditId: "e1" },
    ]);
  });

  it("passes on that nobody is called so, with the nearest", async () => {
    const error = {
      code: "DPX_NOT_FOUND",
      message: 'Cannot kick "bne": nobody is called so',
      hint: "Did you mean ben?",
    };
    server.api.set("/api/kick", () => ({ status: 404, content: { error } }));
    await expect(start(kick, { words: ["bne"], flags: { yes: true } }).ended).rejects.toMatchObject(error);
  });

  it.each(["soon", "0", "-1h", "0s", "for ever"])("refuses --ban %s", async (ban) => {
    const command = start(kick, { words: ["ben"], flags: { yes: true, ban } });
    await expect(command.ended).rejects.toMatchObject({ code: "DPX_USAGE" });
    expect(asked()).toEqual([]);
  });
});

describe("duplexity unban and list --bans", () => {
  const ban = {
    kind: "user",
    name: "ben",
    by: "ana",
    reason: "\u001b[2Jloud",
    at: "2026-01-01T00:00:00Z",
    until: null,
  };

  it("says what was lifted", async () => {
    answer("/api/unban", { lifted: [{ kind: "user", name: "ben", until: null }] });
    const command = start(unban, { words: ["ben"] });
    expect(await command.ended).toBe(0);
    expect(command.stdout.text()).toBe("✔ lifted the ban of user ben (it was for ever)\n");
    expect(asked()).toEqual([["/api/unban", { who: "ben" }]]);
  });

  it("lists bans as a table that nothing in it can break, or as JSON lines", async () => {
    answer("/api/bans", { bans: [ban] });
    const table = start(list, { flags: { bans: true }, isTerminal: true });
    expect(await table.ended).toBe(0);
    expect(table.stdout.text()).toMatch(/ben +user +for ever +ana +2026-01-01 .* +\\x1b\[2Jloud/);
    const lines = start(list, { flags: { bans: true, json: true } });
    await lines.ended;
    expect(lines.lines()).toEqual([{ v: 1, type: "ban", ...ban }]);
  });

  it("says that nobody is banned", async () => {
    answer("/api/bans", { bans: [] });
    const command = start(list, { flags: { bans: true } });
    await command.ended;
    expect([command.stdout.text(), command.stderr.text()]).toEqual(["", `Nobody is banned at ${server.origin}.\n`]);
  });
});

describe("duplexity user", () => {
  it("adds one and prints the invite link: bare for a script", async () => {
    const inviteUrl = "https://t.example/auth/invite#abc";
    answer("/api/users", { user: "ben", inviteUrl, expiresAt: "2099-01-01T00:00:00Z" });
    const flags = { admin: true, names: ["ben-*", "cat1"] };
    const script = start(userAdd, { words: ["ben"], flags });
    expect(await script.ended).toBe(0);
    expect(script.stdout.text()).toBe(`${inviteUrl}\n`);
    expect(script.stderr.text()).toContain("added ben");
    expect(asked()).toEqual([["/api/users", { name: "ben", admin: true, namePatterns: ["ben-*", "cat1"] }]]);
    const person = start(userAdd, { words: ["ben"], isTerminal: true });
    await person.ended;
    expect(person.stdout.text()).toContain(`\n  ${inviteUrl}\n`);
    expect(asked()[1]).toEqual(["/api/users", { name: "ben" }]);
  });

  it("invites anew: the bare link for a script, a line with --json", async () => {
    const inviteUrl = "https://t.example/auth/invite#abc";
    answer("/api/users/invite", { user: { name: "ben" }, inviteUrl, expiresAt: "2099-01-01T00:00:00Z" });
    const script = start(userInvite, { words: ["Ben"] });
    expect(await script.ended).toBe(0);
    expect(script.stdout.text()).toBe(`${inviteUrl}\n`);
    expect(script.stderr.text()).toContain("invited ben. This link makes the password; it is good once, until ");
    expect(asked()).toEqual([["/api/users/invite", { name: "Ben" }]]);
    const json = start(userInvite, { words: ["ben"], flags: { json: true } });
    await json.ended;
    expect(json.lines()).toEqual([
      { v: 1, type: "userInvited", user: "ben", inviteUrl, expiresAt: "2099-01-01T00:00:00Z" },
    ]);
  });

  it("lists and removes", async () => {
    const user = {
      name: "ben",
      role: "user",
      namePatterns: ["ben-*"],
      state: "invited",
      createdAt: "2026-01-01T00:00:00Z",
    };
    answer("/api/users", { users: [user] });
    answer("/api/users/remove", {});
    const listed = start(userList, { isTerminal: true });
    await listed.ended;
    expect(listed.stdout.text()).toMatch(/ben +user +invited +ben-\*/);
    const removed = start(userRemove, { words: ["ben"], flags: { json: true } });
    await removed.ended;
    expect(removed.lines()).toEqual([{ v: 1, type: "userRemoved", user: "ben" }]);
    expect(asked()[1]).toEqual(["/api/users/remove", { name: "ben" }]);
  });
});

describe("duplexity token", () => {
  const token = { tokenId: "t_1", name: "ci", user: "ben", namePatterns: null, expiresAt: null, lastUsedAt: null };

  it("makes one and prints its secret: bare for a script", async () => {
    answer("/api/tokens", { token, secret: "dpx_secret" });
    const command = start(tokenCreate, { words: ["ci"], flags: { names: ["ci-*"], expires: "30d" } });
    expect(await command.ended).toBe(0);
    expect(command.stdout.text()).toBe("dpx_secret\n");
    expect(command.stderr.text()).not.toContain("dpx_secret");
    expect(asked()).toEqual([["/api/tokens", { name: "ci", namePatterns: ["ci-*"], ttlMs: 2_592_000_000 }]]);
  });

  it("lists and revokes", async () => {
    answer("/api/tokens", { tokens: [token] });
    answer("/api/tokens/revoke", {});
    const listed = start(tokenList, { isTerminal: true });
    await listed.ended;
    expect(listed.stdout.text()).toMatch(/ci +ben +any +never +– +t_1/);
    const revoked = start(tokenRevoke, { words: ["ci"] });
    await revoked.ended;
    expect(revoked.stdout.text()).toBe("✔ revoked ci\n");
    expect(asked()[1]).toEqual(["/api/tokens/revoke", { token: "ci" }]);
  });
});

describe("duplexity audit", () => {
  it("prints JSON lines, on a terminal as well", async () => {
    const event = { auditId: "e1", at: "2026-01-01T00:00:00Z", action: "kick", by: "ana", whom: "ben", from: null };
    answer("/api/audit?limit=5", { events: [event] });
    const command = start(audit, { flags: { limit: "5" }, isTerminal: true });
    expect(await command.ended).toBe(0);
    expect(command.lines()).toEqual([{ v: 1, type: "audit", ...event }]);
  });

  it.each(["0", "10001", "many"])("refuses --limit %s", async (limit) => {
    await expect(start(audit, { flags: { limit } }).ended).rejects.toMatchObject({ code: "DPX_USAGE" });
  });
});

describe("a command on the API", () => {
  it("shows its token and says who that is", async () => {
    const command = start(whoami, { isTerminal: true });
    expect(await command.ended).toBe(0);
    expect(command.stdout.text()).toBe(
      `ben\n  role    user\n  server  ${server.origin}\n  until   for ever\n  names   any\n`,
    );
    expect(server.calls[0]?.authorization).toBe("Bearer dpx_test");
  });

  it.each([
    ["that is not JSON", () => ({ content: undefined }), "DPX_PROTOCOL"],
    ["of another version", () => ({ content: { v: 2, user: "x" } }), "DPX_PROTOCOL"],
    ["that refuses without our words", () => ({ status: 403, content: { no: 1 } }), "DPX_PROTOCOL"],
    [
      "that refuses with a code",
      () => ({ status: 403, content: { error: { code: "DPX_FORBIDDEN", message: "no" } } }),
      "DPX_FORBIDDEN",
    ],
  ])("tells an answer %s", async (_what, content, code) => {
    server.api.set("/api/whoami", content);
    await expect(start(whoami).ended).rejects.toMatchObject({ code });
  });

  it("shows a given token rather than the sign-in, and a sign-in to no other server", async () => {
    const other = await SignInServer.start(stage);
    const signIn = { user: "ben", token: "dpx_stored", obtainedAt: 0, expiresAt: null, renewal: null };
    const signIns = new SignIns({ directory: settings, warn: () => {} });
    await signIns.add({ ...signIn, server: server.origin });
    const flags = { json: true };
    await start(whoami, { flags }).ended;
    await start(whoami, { flags, env: {} }).ended;
    await start(whoami, { flags, env: { DUPLEXITY_SERVER: other.origin } }).ended;
    expect(server.calls.map(({ authorization }) => authorization)).toEqual(["Bearer dpx_test", "Bearer dpx_stored"]);
    expect(other.calls.map(({ authorization }) => authorization?.split(" ")[0])).toEqual(["DPoP"]);
  });

  it("gives a project file that was merely found the sign-in of the server that it names, and no other token", async () => {
    const signIn = { user: "ben", token: "dpx_stored", obtainedAt: 0, expiresAt: null, renewal: null };
    await new SignIns({ directory: settings, warn: () => {} }).add({ ...signIn, server: server.origin });
    const cwd = await stage.folder("project");
    writeFileSync(join(cwd, "duplexity.json"), JSON.stringify({ server: server.origin }));
    expect(await start(whoami, { cwd, env: {} }).ended).toBe(0);
    expect(server.calls.map(({ authorization }) => authorization)).toEqual(["Bearer dpx_stored"]);
    const given = start(whoami, { cwd, env: { DUPLEXITY_TOKEN: "dpx_mine" } });
    await expect(given.ended).rejects.toMatchObject({ code: "DPX_USAGE" });
    await expect(start(login, { cwd, env: {} }).ended).rejects.toMatchObject({
      code: "DPX_USAGE",
      hint: `duplexity login ${server.origin}`,
    });
  });

  it("says how to sign in when it has no token", async () => {
    const error = { code: "DPX_AUTH_REQUIRED", message: "no" };
    server.api.set("/api/whoami", () => ({ status: 401, content: { error } }));
    const command = start(whoami, { env: { DUPLEXITY_SERVER: server.origin } });
    await expect(command.ended).rejects.toMatchObject({ ...error, hint: `duplexity login ${server.origin}` });
  });
});
