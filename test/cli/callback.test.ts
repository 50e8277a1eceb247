// Whoever else may knock at the port that a login opens: nothing of it may sign anybody in, end the login, or be kept.

import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { run as login } from "../../src/cli/commands/login.ts";
import { signInByBrowser } from "../../src/cli/sign-in/browser.ts";
import { findProvider } from "../../src/cli/sign-in/provider.ts";
import { useStage } from "../support/stage.ts";
import { type CommandRun, runCommand } from "./support/run-command.ts";
import { SignInServer } from "./support/sign-in-server.ts";

const stage = useStage();
let settings: string;
let server: SignInServer;
let command: CommandRun;
/** Where the provider sends the browser: the right answer. */
let right: URL;

beforeEach(async () => {
  settings = await stage.folder("callback");
  server = await SignInServer.start(stage);
  command = runCommand(login, { settings, words: [server.origin], flags: { json: true, noBrowser: true } });
  while (command.lines().length === 0) await once(command.stdout, "data");
  right = await server.answerFor(String(command.lines()[0]?.url));
  // However the test went, the login is not left waiting.
  stage.defer(() => fetch(changed({ code: null, error: "over" })).catch(() => {}));
});

const isKept = () => existsSync(join(settings, "sign-ins.json"));

/** The right answer with some parameters changed; null takes one away. */
function changed(parameters: Record<string, string | null>): URL {
  const url = new URL(right);
  for (const [name, value] of Object.entries(parameters)) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return url;
}

/** One request as bytes; answers status and body. */
async function knock(head: string): Promise<{ status: number; text: string }> {
  const socket = connect(Number(right.port), "127.0.0.1");
  socket.on("error", () => {});
  socket.write(head);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  return { status: Number(text.split(" ")[1]), text };
}

/** The login is as it was, and the right answer ends it well. */
async function expectUndisturbed(): Promise<void> {
  expect(isKept()).toBe(false);
  expect((await fetch(right)).status).toBe(200);
  expect(await command.ended).toBe(0);
  expect(isKept()).toBe(true);
}

describe("CallbackListener", () => {
  it.each([
    ["a wrong state", { state: "x".repeat(43) }],
    ["no state", { state: null }],
    ["an error without the state", { state: null, code: null, error: "access_denied" }],
    ["an error with a wrong state", { state: "x", code: null, error: "access_denied" }],
  ])("refuses %s and goes on", async (_what, parameters) => {
    const answer = await fetch(changed(parameters));
    expect(answer.status).toBe(400);
    expect(answer.headers.get("duplexity-error")).toBe("DPX_SIGN_IN_FAILED");
    await expectUndisturbed();
  });

  it("refuses two states, of which one is right", async () => {
    const url = new URL(right);
    url.searchParams.append("state", "x");
    expect((await fetch(url)).status).toBe(400);
    await expectUndisturbed();
  });

  it.each(["localhost", "evil.example", "127.0.0.1", "[::1]"])("refuses the Host %s and goes on", async (name) => {
    const port = name === "127.0.0.1" ? 1 : right.port;
    const head = `GET ${right.pathname}${right.search} HTTP/1.1\r\nHost: ${name}:${port}\r\n\r\n`;
    expect(await knock(head)).toMatchObject({ status: 421 });
    await expectUndisturbed();
  });

  it("refuses a request without a Host, and one for another target in the absolute form", async () => {
    const target = `${right.pathname}${right.search}`;
    expect(await knock(`GET ${target} HTTP/1.0\r\n\r\n`)).toMatchObject({ status: 421 });
    const absolute = `GET http://evil.example${target} HTTP/1.1\r\nHost: ${right.host}\r\n\r\n`;
    expect(await knock(absolute)).toMatchObject({ status: 404 });
    await expectUndisturbed();
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS"])("refuses %s and goes on", async (method) => {
    const answer = await fetch(right, { method });
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET"]);
    await expectUndisturbed();
  });

  it("serves no other path", async () => {
    for (const path of ["/", "/callback/", "/callback2", "/%63allback", "//callback"]) {
      expect((await fetch(new URL(`${right.origin}${path}${right.search}`))).status).toBe(404);
    }
    await expectUndisturbed();
  });

  it("refuses an address of 20 kB", async () => {
    const url = changed({ filler: "x".repeat(20_000) });
    expect(await knock(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`)).toMatchObject({
      status: 431,
    });
    await expectUndisturbed();
  });

  it("answers with a page that nothing can be put into", async () => {
    const answer = await fetch(changed({ state: "<script>alert(1)</script>" }));
    expect(await answer.text()).not.toContain("<script");
    expect(answer.headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'sha256-[^']+';/);
    expect(answer.headers.get("referrer-policy")).toBe("no-referrer");
    await expectUndisturbed();
  });
});

describe("duplexity login", () => {
  it.each([
    ["the code of another login", { code: "x".repeat(43) }, "invalid_grant"],
    ["another issuer", { iss: "https://evil.example/auth" }, "iss"],
    ["no issuer", { iss: null }, "iss"],
    ["neither code nor error", { code: null }, "code"],
  ])("ends with an error at an answer with %s, and keeps nothing", async (_what, parameters, words) => {
    const answer = await fetch(changed(parameters));
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain("You are not signed in");
    await expect(command.ended).rejects.toMatchObject({
      code: "DPX_SIGN_IN_FAILED",
      message: expect.stringContaining(words),
    });
    expect(isKept()).toBe(false);
  });

  it("takes one answer: a second one finds nobody", async () => {
    const [first, second] = await Promise.all([fetch(right), fetch(right).catch(() => null)]);
    expect([first.status, second?.status ?? 409].sort()).toEqual([200, 409]);
    expect(await command.ended).toBe(0);
    await expect(fetch(right)).rejects.toThrow();
  });

  it("shows the provider's own refusal, with nothing in it that a terminal would obey", async () => {
    const words = "no\u001b[2J\u0007 way\u202e";
    const answer = await fetch(changed({ code: null, error: "access_denied", error_description: words }));
    expect(answer.status).toBe(400);
    const failure = await command.ended.catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "DPX_SIGN_IN_FAILED" });
    expect(String(failure)).toContain("it was refused: no\\x1b[2J\\x07 way\\u{202e}");
    expect(isKept()).toBe(false);
  });

  it("sends the verifier of this login with the code, so that a code that was caught is good for nobody else", async () => {
    const form = new URLSearchParams({
      grant_type: "authorization_code",
      client_id: "duplexity-cli",
      code: right.searchParams.get("code") ?? "",
      redirect_uri: `${right.origin}/callback`,
      code_verifier: "v".repeat(43),
    });
    const caught = await fetch(`${server.origin}/auth/token`, { method: "POST", body: form });
    expect([caught.status, await caught.json()]).toMatchObject([400, { error: "invalid_grant" }]);
  });
});

describe("signInByBrowser", () => {
  it("gives up after its time, and closes its port", async () => {
    const provider = await findProvider(server.origin);
    let url = "";
    const onUrl = (told: string) => {
      url = told;
    };
    const { signal } = new AbortController();
    await expect(signInByBrowser(provider, { onUrl, signal, limitMs: 20 })).rejects.toMatchObject({
      code: "DPX_SIGN_IN_FAILED",
      message: expect.stringContaining("the browser has not come back"),
    });
    await expect(fetch(new URL(url).searchParams.get("redirect_uri") ?? "")).rejects.toThrow();
  });

  it("gives up when it is told to", async () => {
    const provider = await findProvider(server.origin);
    const given = new AbortController();
    const onUrl = () => given.abort();
    await expect(signInByBrowser(provider, { onUrl, signal: given.signal })).rejects.toMatchObject({
      code: "DPX_SIGN_IN_FAILED",
      message: expect.stringContaining("given up here"),
    });
  });
});
