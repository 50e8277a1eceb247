// Pipes that only people of this server may come in through: to auth and back, a cookie of one hostname, and everything
// that somebody could show instead of it.

import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { DuplexityError, type PipeGate } from "../../../src/protocol/index.ts";
import { createAttempts } from "../../../src/server/attempts.ts";
import type { VisitorSignIn } from "../../../src/server/visitor-sign-in.ts";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { get, type ParsedAnswer, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HOST = "a.example.test";
const OTHER = "b.example.test";
const LOGIN: PipeGate = { login: true };
const SECRET = Buffer.alloc(32, 7);
const HTML = "Accept: text/html,*/*\r\n";
const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const START = Date.UTC(2026, 0, 1);

/** Auth, as far as the gate knows it: a code is good once, for its hostname and state. */
class FakeSignIn implements VisitorSignIn {
  readonly begun: { hostname: string; returnTo: string; state: string }[] = [];
  readonly banned = new Set<string>();
  readonly #codes = new Map<string, { hostname: string; state: string; returnTo: string; userId: string }>();
  redeems = 0;

  authorizeUrl(o: { hostname: string; returnTo: string; state: string }): string {
    this.begun.push(o);
    return `https://example.test/auth/visitor?state=${o.state}`;
  }

  /** The person signs in; answers the code that the browser is sent back with. */
  signIn(userId = "u_ada", begun = this.begun.at(-1)): { code: string; state: string } {
    if (begun === undefined) throw new Error("nobody began a sign-in");
    const code = `code-${this.#codes.size}-${begun.state.slice(0, 6)}`;
    this.#codes.set(code, { ...begun, userId });
    return { code, state: begun.state };
  }

  async redeem({ code, hostname, state }: { code: string; hostname: string; state: string }) {
    this.redeems++;
    const found = this.#codes.get(code);
    if (found === undefined || found.hostname !== hostname || found.state !== state) return null;
    this.#codes.delete(code);
    return { userId: found.userId, name: "ada", returnTo: found.returnTo };
  }

  isWelcome(userId: string): boolean {
    return !this.banned.has(userId);
  }
}

async function start(gate: PipeGate = LOGIN, answer = HELLO) {
  const auth = new FakeSignIn();
  const clock = { now: START };
  const attempts = createAttempts({ redeem: { points: 5, durationMs: 60_000 } });
  const proxy = await startProxy(stage, { gates: { signIn: auth, secret: SECRET, attempts, now: () => clock.now } });
  const origin = await startScriptedOrigin(stage, [answer]);
  for (const hostname of [HOST, OTHER]) proxy.routes.register(hostname, origin.port, { gate });
  const ask = async (path: string, more = "", host = HOST): Promise<ParsedAnswer> => {
    const peer = await proxy.visitor();
    peer.write(get(path, host, more));
    return readAnswer(peer);
  };
  return { ...proxy, origin, auth, clock, ask };
}

type Started = Awaited<ReturnType<typeof start>>;

/** The cookies that an answer sets, as the next request shows them. */
function cookiesOf({ fields }: ParsedAnswer): string {
  return (fields.get("set-cookie") ?? "").split(";", 1)[0] ?? "";
}

function cookie(...pairs: readonly string[]): string {
  return `Cookie: ${pairs.join("; ")}\r\n`;
}

function back({ code, state }: { code: string; state: string }): string {
  return `/.duplexity/signed-in?code=${code}&state=${state}`;
}

function outcomeOf({ status, fields }: ParsedAnswer): unknown[] {
  return [status, fields.get("duplexity-error") ?? null];
}

/** Signs a person in, as an honest browser would; answers the visitor's cookie. */
async function signIn({ ask, auth }: Started, userId = "u_ada", path = "/", host = HOST): Promise<string> {
  const begun = await ask(path, HTML, host);
  expect(begun.status).toBe(303);
  const returned = await ask(back(auth.signIn(userId)), HTML + cookie(cookiesOf(begun)), host);
  expect([returned.status, returned.fields.get("location")]).toEqual([303, path]);
  return cookiesOf(returned);
}

describe("a pipe with a sign-in", () => {
  it("sends a browser to auth and lets it come back to where it was", async () => {
    const started = await start();
    const { ask, auth, origin, routes } = started;
    const begun = await ask("/a?b=c", HTML);
    expect(begun.status).toBe(303);
    expect(begun.fields.get("location")).toBe(`https://example.test/auth/visitor?state=${auth.begun[0]?.state}`);
    expect(auth.begun).toEqual([
      { hostname: HOST, returnTo: "/a?b=c", state: expect.stringMatching(/^[\w-]{16,128}$/) },
    ]);
    expect(begun.fields.get("set-cookie")).toMatch(
      /^__Host-duplexity-sign-in=[\w-]{43}; Max-Age=600; Path=\/; Secure; HttpOnly; SameSite=Lax$/,
    );
    expect([begun.fields.get("cache-control"), begun.fields.get("referrer-policy")]).toEqual([
      "no-store",
      "no-referrer",
    ]);
    const returned = await ask(back(auth.signIn()), HTML + cookie(cookiesOf(begun)));
    expect([returned.status, returned.fields.get("location")]).toEqual([303, "/a?b=c"]);
    expect(returned.fields.get("set-cookie")).toMatch(
      /^__Host-duplexity-visitor=[\w.-]+; Max-Age=43200; Path=\/; Secure; HttpOnly; SameSite=Lax$/,
    );
    expect(origin.received()).toBe("");
    const answer = await ask("/a?b=c", HTML + cookie("x=1", cookiesOf(returned), "y=2"));
    expect([answer.status, answer.body]).toEqual([200, "hello"]);
    expect(origin.received()).toContain("\r\nCookie: x=1; y=2\r\n");
    expect(routes.reports.map(({ path, status }) => [path, status])).toEqual([
      ["/a?b=c", 303],
      // The code is nobody's but the gate's.
      ["/.duplexity/signed-in", 303],
      ["/a?b=c", 200],
    ]);
  });

  it("tells the target none of its own cookies, and all others as they were written", async () => {
    const started = await start();
    const { ask, origin } = started;
    const visitor = await signIn(started);
    await ask("/1", cookie(visitor));
    await ask("/2", `Cookie:  a="1;  ${visitor};b=__Host-duplexity-visitor; __Host-duplexity-sign-in=z ;c=3\r\n`);
    await ask("/3", cookie("d=4") + cookie(visitor) + cookie("e=5"));
    const [first = "", second = "", third = ""] = origin.received().split("\r\n\r\n");
    expect(first).not.toContain("Cookie");
    expect(second).toContain('\r\nCookie: a="1;b=__Host-duplexity-visitor;c=3\r\n');
    expect(third).toContain("\r\nCookie: d=4\r\nCookie: e=5\r\n");
  });

  it.each([
    ["no HTML", ""],
    ["a script's request", `${HTML}Sec-Fetch-Mode: cors\r\n`],
    ["an upgrade", `${HTML}Connection: Upgrade\r\nUpgrade: websocket\r\n`],
  ])("answers 401 to %s", async (_what, more) => {
    const { ask, auth } = await start();
    const answer = await ask("/", more);
    expect(outcomeOf(answer)).toEqual([401, "DPX_VISITOR_UNKNOWN"]);
    expect(answer.fields.get("www-authenticate")).toBe(`Duplexity-Sign-In realm="${HOST}"`);
    expect(auth.begun).toEqual([]);
  });

  it.each(["POST", "HEAD", "OPTIONS"])("answers 401 to %s, also where auth comes back to", async (method) => {
    const { visitor, auth } = await start();
    for (const path of ["/", "/.duplexity/signed-in?code=a&state=b"]) {
      const peer = await visitor();
      peer.write(`${method} ${path} HTTP/1.1\r\nHost: ${HOST}\r\n${HTML}\r\n`);
      expect((await readAnswer(peer, method)).status).toBe(401);
    }
    expect([auth.begun, auth.redeems]).toEqual([[], 0]);
  });

  it("lets an upgrade in by the cookie", async () => {
    const started = await start();
    const { visitor, origin } = started;
    const pass = await signIn(started);
    const peer = await visitor();
    peer.write(get("/socket", HOST, `${cookie(pass)}Connection: Upgrade\r\nUpgrade: websocket\r\n`));
    await readAnswer(peer);
    expect(origin.received()).toContain("Upgrade: websocket");
    expect(origin.received()).not.toContain("duplexity-visitor");
  });

  it.each([
    ["WebSocket", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst"],
    ["stream of events", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nfirst"],
  ])("ends an open %s of somebody who is not welcome any more, and nobody else's", async (_what, answer) => {
    const started = await start(LOGIN, answer);
    const { visitor, auth, proxy } = started;
    const open = async (userId: string) => {
      const pass = await signIn(started, userId);
      const peer = await visitor();
      peer.write(get("/socket", HOST, `${cookie(pass)}Connection: Upgrade\r\nUpgrade: websocket\r\n`));
      expect(await peer.readUntil("first")).toContain("HTTP/1.1");
      return peer;
    };
    const [ada, ben] = [await open("u_ada"), await open("u_ben")];
    auth.banned.add("u_ada");
    await poll(() => ada.hasEnded, 5_000, "the end of ada's");
    expect(proxy.statistics.openTunnels + proxy.statistics.openExchanges).toBe(1);
    expect(ben.socket.destroyed).toBe(false);
  });

  it("judges each request of a connection", async () => {
    const started = await start();
    const { visitor, origin } = started;
    const pass = await signIn(started);
    const peer = await visitor();
    peer.write(get("/one", HOST, cookie(pass)) + get("/two", HOST) + get("/three", OTHER, cookie(pass)));
    const statuses = [];
    for (let turn = 0; turn < 3; turn++) statuses.push((await readAnswer(peer)).status);
    expect(statuses).toEqual([200, 401, 401]);
    expect(origin.received().match(/GET \S+/g)).toEqual(["GET /one"]);
  });

  describe("with a cookie that is not the visitor's", () => {
    const forged = (secret: Buffer, hostname: string, expires: string, user = "u_ada"): string => {
      const start = `${expires}.${Buffer.from(user).toString("base64url")}`;
      const mac = createHmac("sha256", secret).update(`visitor\0${hostname}\0${start}`).digest("base64url");
      return `__Host-duplexity-visitor=${start}.${mac}`;
    };
    const later = Math.floor(START / 1_000 + 60).toString(36);

    it("knows the form that this test forges", async () => {
      const { ask } = await start();
      expect((await ask("/", cookie(forged(SECRET, HOST, later)))).status).toBe(200);
    });

    it.each([
      ["another secret", forged(Buffer.alloc(32, 8), HOST, later)],
      ["another hostname", forged(SECRET, OTHER, later)],
      ["a time that is over", forged(SECRET, HOST, Math.floor(START / 1_000).toString(36))],
      ["another user than was signed", forged(SECRET, HOST, later).replace("dV9hZGE", "dV9ib2I")],
      ["a later end than was signed", forged(SECRET, HOST, later).replace(later, "zzzzzzz")],
      ["no signature", `__Host-duplexity-visitor=${later}.dV9hZGE.`],
      ["a shorter signature", forged(SECRET, HOST, later).slice(0, -1)],
      ["something behind it", `${forged(SECRET, HOST, later)}A`],
      ["another name in other letters", forged(SECRET, HOST, later).replace("Host", "host")],
      ["another name without the prefix", forged(SECRET, HOST, later).replace("__Host-", "")],
      ["60 KiB", `__Host-duplexity-visitor=${"A".repeat(60_000)}`],
      ["a state's signature", `__Host-duplexity-visitor=${later}.dV9hZGE.${"A".repeat(43)}`],
    ])("refuses one with %s", async (_what, pair) => {
      const { ask, origin } = await start();
      expect(outcomeOf(await ask("/", cookie(pair)))).toEqual([401, "DPX_VISITOR_UNKNOWN"]);
      expect(origin.received()).toBe("");
    });

    it("takes the right one among wrong ones, and no more than a few of them", async () => {
      const { ask } = await start();
      const wrong = forged(Buffer.alloc(32, 8), HOST, later);
      const right = forged(SECRET, HOST, later);
      expect((await ask("/", cookie(wrong, right))).status).toBe(200);
      expect((await ask("/", cookie(wrong) + cookie(right))).status).toBe(200);
      expect((await ask("/", cookie(wrong, wrong, wrong, wrong, right))).status).toBe(401);
    });
  });

  it("ends with its 12 hours, and at once with the person's ban, whose cookie goes", async () => {
    const started = await start();
    const { ask, clock, auth } = started;
    const pass = await signIn(started);
    clock.now += 43_199_000;
    expect((await ask("/", cookie(pass))).status).toBe(200);
    auth.banned.add("u_ada");
    const banned = await ask("/", HTML + cookie(pass));
    expect(outcomeOf(banned)).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
    expect(banned.fields.get("set-cookie")).toMatch(/^__Host-duplexity-visitor=; Max-Age=0;/);
    auth.banned.clear();
    clock.now += 1_000;
    expect((await ask("/", HTML + cookie(pass))).status).toBe(303);
  });

  it("does not let in a person who is banned while signing in", async () => {
    const { ask, auth } = await start();
    const begun = await ask("/", HTML);
    const answer = auth.signIn();
    auth.banned.add("u_ada");
    const returned = await ask(back(answer), HTML + cookie(cookiesOf(begun)));
    expect(outcomeOf(returned)).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
    expect(returned.fields.has("set-cookie")).toBe(false);
  });

  it("lets all tabs of one browser sign in at once", async () => {
    const { ask, auth } = await start();
    const first = await ask("/first", HTML);
    const second = await ask("/second", HTML + cookie(cookiesOf(first)));
    expect(cookiesOf(second)).toBe(cookiesOf(first));
    const [one, two] = auth.begun;
    expect(one?.state).not.toBe(two?.state);
    const returned = await ask(back(auth.signIn("u_ada", one)), cookie(cookiesOf(second)));
    expect(returned.fields.get("location")).toBe("/first");
    const also = await ask(back(auth.signIn("u_ada", two)), cookie(cookiesOf(second)));
    expect(also.fields.get("location")).toBe("/second");
  });

  describe("on the way back from auth", () => {
    async function begun() {
      const started = await start();
      const binding = cookiesOf(await started.ask("/", HTML));
      return { ...started, binding, answer: started.auth.signIn() };
    }

    const cases: readonly [string, (o: Awaited<ReturnType<typeof begun>>) => Promise<ParsedAnswer>, number][] = [
      ["without the browser's cookie", ({ ask, answer }) => ask(back(answer), HTML), 0],
      [
        "with another browser's cookie",
        async ({ ask, answer }) => ask(back(answer), HTML + cookie(cookiesOf(await ask("/", HTML)))),
        0,
      ],
      [
        "with a state of its own",
        ({ ask, answer, binding }) => ask(back({ ...answer, state: "A".repeat(77) }), cookie(binding)),
        0,
      ],
      [
        "with a state that was changed",
        ({ ask, answer, binding }) => ask(back({ ...answer, state: `B${answer.state.slice(1)}` }), cookie(binding)),
        0,
      ],
      [
        "without a state",
        ({ ask, answer, binding }) => ask(`/.duplexity/signed-in?code=${answer.code}`, cookie(binding)),
        0,
      ],
      ["without a code", ({ ask, answer, binding }) => ask(back({ ...answer, code: "" }), cookie(binding)), 0],
      ["with two codes", ({ ask, answer, binding }) => ask(`${back(answer)}&code=x`, cookie(binding)), 0],
      ["with two states", ({ ask, answer, binding }) => ask(`${back(answer)}&state=x`, cookie(binding)), 0],
      ["with a wrong code", ({ ask, answer, binding }) => ask(back({ ...answer, code: "x" }), cookie(binding)), 1],
      ["at another hostname", ({ ask, answer, binding }) => ask(back(answer), cookie(binding), OTHER), 0],
      [
        "too late",
        ({ ask, answer, binding, clock }) => {
          clock.now += 600_000;
          return ask(back(answer), cookie(binding));
        },
        0,
      ],
      [
        "with another sign-in's state",
        async ({ ask, answer, binding, auth }) => {
          await ask("/", HTML + cookie(binding));
          return ask(back({ ...answer, state: auth.begun.at(-1)?.state ?? "" }), cookie(binding));
        },
        1,
      ],
    ];

    it.each(cases)("refuses %s, and sets no cookie", async (_what, run, redeems) => {
      const at = await begun();
      const answer = await run(at);
      expect(outcomeOf(answer)).toEqual([401, "DPX_SIGN_IN_FAILED"]);
      expect(answer.fields.has("set-cookie")).toBe(false);
      expect(at.auth.redeems).toBe(redeems);
      expect(at.origin.received()).toBe("");
    });

    it("takes no code a second time, but leads who is in already home", async () => {
      const { ask, answer, binding } = await begun();
      const pass = cookiesOf(await ask(back(answer), cookie(binding)));
      expect(outcomeOf(await ask(back(answer), cookie(binding)))).toEqual([401, "DPX_SIGN_IN_FAILED"]);
      const again = await ask(back(answer), cookie(binding, pass));
      expect([again.status, again.fields.get("location"), again.fields.has("set-cookie")]).toEqual([303, "/", false]);
    });

    it("limits guessed codes by address", async () => {
      const { ask, answer, binding, auth } = await begun();
      for (let turn = 0; turn < 5; turn++) await ask(back({ ...answer, code: `x${turn}` }), cookie(binding));
      expect(outcomeOf(await ask(back(answer), cookie(binding)))).toEqual([429, "DPX_RATE_LIMIT"]);
      expect(auth.redeems).toBe(5);
    });
  });

  it.each([
    ["//evil.test/x", "/"],
    ["/\\evil.test", "/"],
    ["/a\\..\\evil.test", "/"],
    ["/%0d%0aSet-Cookie:x", "/%0d%0aSet-Cookie:x"],
    ["/.duplexity/signed-in/", "/"],
    [`/${"x".repeat(2_000)}`, "/"],
    ["/ok?to=//evil.test", "/ok?to=//evil.test"],
    [`http://${HOST}//evil.test`, "/"],
    [`http://${HOST}/path`, "/path"],
  ])("comes back from auth to this host alone: %s", async (target, home) => {
    const { ask, auth } = await start();
    const begun = await ask(target, HTML);
    expect(begun.status).toBe(303);
    expect(auth.begun[0]?.returnTo).toBe(home);
    const returned = await ask(back(auth.signIn()), cookie(cookiesOf(begun)));
    expect(returned.fields.get("location")).toBe(home);
  });

  it("does not trust auth's word on where to go either", async () => {
    const { ask, auth } = await start();
    const begun = await ask("/", HTML);
    const [first] = auth.begun;
    if (first === undefined) throw new Error("nothing was begun");
    for (const returnTo of ["//evil.test", "https://evil.test/", "/a\r\nSet-Cookie: x=1", "", "evil"]) {
      const returned = await ask(back(auth.signIn("u_ada", { ...first, returnTo })), cookie(cookiesOf(begun)));
      expect([returned.status, returned.fields.get("location")]).toEqual([303, "/"]);
    }
  });

  it.each(["authorizeUrl", "redeem", "isWelcome"] as const)("lets nobody in while auth can't say: %s", async (part) => {
    const started = await start();
    const { ask, auth, origin } = started;
    const pass = await signIn(started);
    const begun = await ask("/", HTML);
    auth[part] = () => {
      throw new DuplexityError("DPX_STORE", "Cannot read the store");
    };
    const path = part === "redeem" ? back(auth.signIn()) : "/";
    const more = part === "isWelcome" ? cookie(pass) : part === "redeem" ? cookie(cookiesOf(begun)) : HTML;
    expect(outcomeOf(await ask(path, more))).toEqual([503, "DPX_STORE"]);
    expect(origin.received()).toBe("");
  });

  it("lets nobody in where nobody can sign in", async () => {
    const proxy = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    proxy.routes.register(HOST, origin.port, { gate: LOGIN });
    const peer = await proxy.visitor();
    peer.write(get("/", HOST, HTML));
    expect(outcomeOf(await readAnswer(peer))).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
  });

  it("asks for the address first: auth's way back is not open to others", async () => {
    const { ask, auth } = await start({ login: true, allowCidr: ["192.0.2.0/24"] });
    expect(outcomeOf(await ask("/", HTML))).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
    expect(outcomeOf(await ask("/.duplexity/signed-in?code=a&state=b", HTML))).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
    expect(auth.begun).toEqual([]);
  });
});

describe("a pipe without a sign-in", () => {
  it("has no way back from auth: the path is the target's", async () => {
    const { ask, routes, origin } = await start();
    routes.register(HOST, origin.port);
    expect((await ask("/.duplexity/signed-in?code=a&state=b", HTML)).status).toBe(200);
    expect(origin.received()).toContain("/.duplexity/signed-in?code=a");
  });
});
