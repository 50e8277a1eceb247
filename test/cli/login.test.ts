// Signing in, out and on, against a real OpenID provider on loopback; the browser is `fetch`.

import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run as login } from "../../src/cli/commands/login.ts";
import { run as logout } from "../../src/cli/commands/logout.ts";
import { run as whoami } from "../../src/cli/commands/whoami.ts";
import { signInByDevice } from "../../src/cli/sign-in/device.ts";
import type { SignIn } from "../../src/cli/sign-in/file.ts";
import { findProvider } from "../../src/cli/sign-in/provider.ts";
import { renew } from "../../src/cli/sign-in/renew.ts";
import { SignIns } from "../../src/cli/sign-ins.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { useStage } from "../support/stage.ts";
import { type CommandRun, runCommand } from "./support/run-command.ts";
import { SignInServer } from "./support/sign-in-server.ts";

const stage = useStage();
let settings: string;
let server: SignInServer;

beforeEach(async () => {
  settings = await stage.folder("sign-in");
  server = await SignInServer.start(stage);
});

const stored = () => new SignIns({ directory: settings, warn: () => {} });

/** The first JSON line of that type. */
async function line(command: CommandRun, type: string): Promise<Record<string, unknown>> {
  for (;;) {
    const found = command.lines().find((each) => each.type === type);
    if (found !== undefined) return found;
    await Promise.race([once(command.stdout, "data"), command.ended]);
  }
}

function start(flags: Record<string, unknown> = { noBrowser: true }, words = [server.origin]): CommandRun {
  return runCommand(login, { settings, words, flags: { json: true, ...flags } });
}

describe("duplexity login", () => {
  it("signs in through the browser and keeps that, for this server alone", async () => {
    const command = start();
    const { url } = await line(command, "authorize");
    const asked = new URL(String(url)).searchParams;
    expect(Object.fromEntries(asked)).toMatchObject({
      client_id: "duplexity-cli",
      response_type: "code",
      code_challenge_method: "S256",
      scope: "openid offline_access profile",
      redirect_uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/callback$/),
      state: expect.stringMatching(/^.{43}$/),
      nonce: expect.stringMatching(/^.{43}$/),
    });
    const page = await server.browse(String(url));
    expect(page).toMatchObject({ status: 200, text: expect.stringContaining("You are signed in") });
    expect(await command.ended).toBe(0);
    expect(command.lines().at(-1)).toMatchObject({ v: 1, type: "loggedIn", server: server.origin, user: "ben" });
    const signIn = stored().find(server.origin);
    expect(signIn).toMatchObject({ user: "ben", renewal: { issuer: `${server.origin}/auth` } });
    expect(server.calls).toMatchObject([{ path: "/api/whoami", authorization: `Bearer ${signIn?.token}` }]);
    expect(stored().current).toBe(server.origin);
    expect(stored().find("http://127.0.0.1:1")).toBeNull();
    expect(statSync(join(settings, "sign-ins.json")).mode & 0o777).toBe(0o600);
    // Closed with its one answer.
    await expect(fetch(page.callback)).rejects.toThrow();
  });

  it("signs in by a code on another device, and tells this machine's name there", async () => {
    const command = start({ device: true });
    const { verificationUri, userCode, expiresAt } = await line(command, "device");
    expect(verificationUri).toBe(`${server.origin}/auth/device`);
    expect(new Date(String(expiresAt)).getTime()).toBeGreaterThan(Date.now());
    await server.confirmDevice(String(userCode));
    expect(await command.ended).toBe(0);
    expect(stored().find(server.origin)).toMatchObject({ user: "ben" });
  });

  it("keeps nothing when the other device says no", async () => {
    const command = start({ device: true });
    const { userCode } = await line(command, "device");
    await server.confirmDevice(String(userCode), false);
    await expect(command.ended).rejects.toMatchObject({
      code: "DPX_SIGN_IN_FAILED",
      message: expect.stringContaining("it was refused"),
    });
    expect(stored().all).toEqual([]);
  });

  it("takes the device's way by itself over SSH, and says why", async () => {
    const env = { SSH_CONNECTION: "1 2 3 4" };
    const command = runCommand(login, { settings, words: [server.origin], env, isTerminal: true });
    while (!command.stdout.text().includes("type the code")) await once(command.stdout, "data");
    expect(command.stdout.text()).toContain("No browser is opened here: this is an SSH session.");
    const [, userCode = ""] = /type the code +([A-Z-]+)/.exec(command.stdout.text()) ?? [];
    await server.confirmDevice(userCode);
    expect(await command.ended).toBe(0);
    expect(command.stdout.text()).toContain(`✔ signed in to ${server.origin} as ben, renewed by itself`);
  });

  it("shows a QR code on a terminal only", async () => {
    const flags = { qr: true };
    const terminal = runCommand(login, { settings, words: [server.origin], flags, isTerminal: true });
    while (!/[▀▄█]{10}/.test(terminal.stdout.text())) await once(terminal.stdout, "data");
    const [, userCode = ""] = /type the code +([A-Z-]+)/.exec(terminal.stdout.text()) ?? [];
    await server.confirmDevice(userCode);
    await terminal.ended;
    const pipe = runCommand(login, { settings, words: [server.origin], flags });
    while (!pipe.stdout.text().includes("\n")) await once(pipe.stdout, "data");
    await server.confirmDevice(pipe.stdout.text().trim().split(" ")[1] ?? "");
    await pipe.ended;
    expect(pipe.stdout.text() + pipe.stderr.text()).not.toMatch(/[▀▄█]/);
  });

  it("keeps a token from stdin, when the server takes it", async () => {
    server.api.set("/api/whoami", () => ({
      content: {
        v: 1,
        user: "ben@ci",
        role: "user",
        owner: "o",
        expiresAt: "2099-01-01T00:00:00.000Z",
        namePatterns: null,
      },
    }));
    const command = start({ withToken: true });
    command.stdin.write("dpx_abc\n");
    expect(await command.ended).toBe(0);
    expect(stored().find(server.origin)).toMatchObject({
      ...{ user: "ben@ci", token: "dpx_abc", renewal: null, expiresAt: Date.UTC(2099, 0) },
    });
  });

  it("keeps no token that the server refuses", async () => {
    const error = { code: "DPX_AUTH_INVALID", message: "Cannot let you in: the token is not known" };
    server.api.set("/api/whoami", () => ({ status: 401, content: { error } }));
    const command = start({ withToken: true });
    command.stdin.end("dpx_abc");
    await expect(command.ended).rejects.toMatchObject(error);
    expect(stored().all).toEqual([]);
  });

  it("keeps several servers side by side, the newest of them current", async () => {
    const other = await SignInServer.start(stage);
    for (const each of [server, other]) {
      const command = start({ noBrowser: true }, [each.origin]);
      await each.browse(String((await line(command, "authorize")).url));
      await command.ended;
    }
    expect(stored().all.map((each) => each.server)).toEqual([server.origin, other.origin]);
    expect(stored().current).toBe(other.origin);
    const who = runCommand(whoami, { settings, flags: { json: true } });
    expect(await who.ended).toBe(0);
    expect(who.lines()).toMatchObject([{ type: "whoami", server: other.origin, user: "ben" }]);
    expect(server.calls).toHaveLength(1);
  });

  it("takes the issuer's own name for this machine", async () => {
    const { port } = new URL(server.origin);
    const command = start({ noBrowser: true }, [`localhost:${port}`]);
    await server.browse(String((await line(command, "authorize")).url));
    expect(await command.ended).toBe(0);
    expect(stored().current).toBe(server.origin);
    expect(stored().find(`http://localhost:${port}`)?.server).toBe(server.origin);
  });
});

describe("duplexity login through a proxy", () => {
  afterEach(() => void vi.unstubAllEnvs());

  it("asks nothing of the server but through it", async () => {
    const proxy = await startConnectProxy(stage);
    vi.stubEnv("HTTP_PROXY", proxy.url);
    vi.stubEnv("NO_PROXY", "");
    const command = start({ device: true });
    const { userCode } = await line(command, "device");
    await server.confirmDevice(String(userCode));
    expect(await command.ended).toBe(0);
    expect(new Set(proxy.asked)).toEqual(new Set([new URL(server.origin).host]));
    // Discovery, the code, the token, its keys, whoami.
    expect(proxy.asked.length).toBeGreaterThanOrEqual(2);
  });
});

describe("duplexity login refuses", () => {
  it.each([
    ["another host", () => "https://tunnel.example.com/auth"],
    ["another host at the same port", (origin: string) => `http://evil.example:${new URL(origin).port}/auth`],
    ["another port of this machine", () => "http://127.0.0.1:9/auth"],
    ["another path", (origin: string) => `${origin}/other`],
  ])("a server that is %s by its own word", async (_what, issuer) => {
    const liar = await SignInServer.start(stage, { issuer });
    const { origin } = liar;
    await expect(start({}, [origin]).ended).rejects.toMatchObject({
      code: "DPX_SIGN_IN_FAILED",
      message: `Cannot sign in to ${origin}: it says that it is ${issuer(origin)}, wanted ${origin}/auth`,
    });
  });

  it("a server without TLS that is not on this machine", async () => {
    await expect(start({}, ["http://tunnel.example.com"]).ended).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: expect.stringContaining("without TLS everybody on the way could read the token"),
    });
  });

  it("a server that offers no sign-in", async () => {
    server.outage = { status: 404, text: "{}" };
    await expect(start().ended).rejects.toMatchObject({
      code: "DPX_SIGN_IN_FAILED",
      message: `Cannot sign in to ${server.origin}: no sign-in is offered there`,
    });
  });

  it("a server that is not there", async () => {
    await expect(start({}, ["http://127.0.0.1:9"]).ended).rejects.toMatchObject({ code: "DPX_SERVER_UNREACHABLE" });
  });

  it("two ways at once, and what is no server", async () => {
    await expect(start({ device: true, withToken: true }).ended).rejects.toMatchObject({ code: "DPX_USAGE" });
    await expect(start({}, ["ftp://a"]).ended).rejects.toMatchObject({ code: "DPX_USAGE" });
  });

  it("with the server's own words when there were too many attempts", async () => {
    const error = { code: "DPX_RATE_LIMIT", message: "Cannot sign in: too many attempts", hint: "Try again in 40 s." };
    const command = start({ device: true });
    server.outage = { status: 429, text: JSON.stringify({ error }) };
    await expect(command.ended).rejects.toMatchObject(error);
  });
});

describe("a server that takes requests and says nothing", () => {
  /** Aborts when the server has got what it does not answer. */
  function givenUpAt(asked: string): AbortSignal {
    const givingUp = new AbortController();
    server.mute = asked;
    server.onAsked = (each) => {
      if (each === asked) givingUp.abort(new Error("given up"));
    };
    return givingUp.signal;
  }

  async function signedIn(): Promise<SignIn> {
    const command = start();
    await server.browse(String((await line(command, "authorize")).url));
    await command.ended;
    const signIn = stored().find(server.origin);
    if (signIn === null) throw new Error("not signed in");
    return signIn;
  }

  it("is asked how to sign in until that is given up", async () => {
    const signal = givenUpAt("GET /.well-known/openid-configuration");
    await expect(findProvider(server.origin, signal)).rejects.toThrow("given up");
  });

  it("is asked for a code until that is given up", async () => {
    const signal = givenUpAt("POST /device/auth");
    const provider = await findProvider(server.origin, signal);
    await expect(signInByDevice(provider, { onCode: () => {}, signal })).rejects.toMatchObject({
      code: "DPX_SIGN_IN_FAILED",
      message: `Cannot sign in to ${server.origin}: it was given up here`,
    });
  });

  it("is asked for the next token until that is given up", async () => {
    const signIn = await signedIn();
    const discovery = givenUpAt("GET /.well-known/openid-configuration");
    await expect(renew(signIn, discovery)).rejects.toThrow("given up");
    const exchange = givenUpAt("POST /token");
    await expect(renew(signIn, exchange)).rejects.toThrow("given up");
  });

  it("keeps the token that comes in the moment in which it is given up: the old one is used up", async () => {
    const signIn = await signedIn();
    const givingUp = new AbortController();
    server.onAsked = (asked) => {
      if (asked === "POST /token") givingUp.abort();
    };
    expect(await renew(signIn, givingUp.signal)).toMatchObject({ user: "ben", server: server.origin });
    expect(givingUp.signal.aborted).toBe(true);
  });
});

describe("duplexity logout", () => {
  async function signIn(): Promise<void> {
    const command = start();
    await server.browse(String((await line(command, "authorize")).url));
    await command.ended;
  }

  it("ends the sign-in on the server and forgets it", async () => {
    await signIn();
    const refreshToken = stored().find(server.origin)?.renewal?.refreshToken ?? "";
    const command = runCommand(logout, { settings });
    expect(await command.ended).toBe(0);
    expect(command.stdout.text()).toBe(`✔ signed out of ${server.origin}\n`);
    expect(stored()).toMatchObject({ all: [], current: null });
    expect(readFileSync(join(settings, "sign-ins.json"), "utf8")).not.toContain(refreshToken);
    expect(await server.provider.RefreshToken.find(refreshToken)).toBeUndefined();
  });

  it("forgets it here, and says so, when the server cannot be reached", async () => {
    await signIn();
    server.outage = { status: 503, text: "{}" };
    const command = runCommand(logout, { settings });
    expect(await command.ended).toBe(0);
    expect(command.stderr.text()).toContain("forgotten here, but not ended on the server");
    expect(stored().all).toEqual([]);
  });

  it("says where one is signed in, when it is not there", async () => {
    await signIn();
    await expect(runCommand(logout, { settings, words: ["https://b.example"] }).ended).rejects.toMatchObject({
      code: "DPX_AUTH_REQUIRED",
      hint: `You are signed in to ${server.origin}`,
    });
  });
});
