// The stored sign-ins: which server gets which, when a token is renewed, and by whom when several want it at once.

import { spawn } from "node:child_process";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { SignIn } from "../../src/cli/sign-in/file.ts";
import { withLock } from "../../src/cli/sign-in/lock-file.ts";
import { SignIns } from "../../src/cli/sign-ins.ts";
import { DuplexityError } from "../../src/protocol/errors.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const HOUR_MS = 3_600_000;
const A = "https://a.example";
const B = "https://b.example";

let directory: string;
let warnings: string[];
/** What the clock says. */
let now: number;
/** Renewals, as they were asked for; each gives the next token. */
let renewed: SignIn[];
let renew: (signIn: SignIn, signal?: AbortSignal) => Promise<SignIn>;

beforeEach(async () => {
  directory = await stage.folder("sign-ins");
  warnings = [];
  now = 0;
  renewed = [];
  renew = async (signIn) => {
    renewed.push(signIn);
    const count = renewed.length;
    const renewal = { issuer: `${A}/auth`, refreshToken: `refresh-${count}` };
    return { ...signIn, token: `token-${count}`, obtainedAt: now, expiresAt: now + HOUR_MS, renewal };
  };
});

function open(): SignIns {
  const warn = (message: string) => warnings.push(message);
  return new SignIns({ directory, warn, now: () => now, renew: (signIn, signal) => renew(signIn, signal) });
}

function signInAt(server: string, more: Partial<SignIn> = {}): SignIn {
  const renewal = { issuer: `${server}/auth`, refreshToken: "refresh-0" };
  return { server, user: "ben", token: "token-0", obtainedAt: 0, expiresAt: HOUR_MS, renewal, ...more };
}

const path = () => join(directory, "sign-ins.json");

describe("SignIns", () => {
  it("gives a sign-in to its own server and to no other", async () => {
    await open().add(signInAt(A));
    expect(open().find(A)).toEqual(signInAt(A));
    for (const other of [B, "http://a.example", "https://a.example:8443", "https://a.example.evil.org"]) {
      expect(open().find(other)).toBeNull();
    }
  });

  it("takes the names of this machine for one, at the same port only", async () => {
    await open().add(signInAt("http://localhost:8080"));
    expect(open().find("http://127.0.0.1:8080")).toMatchObject({ server: "http://localhost:8080" });
    expect(open().find("http://[::1]:8080")).toMatchObject({ server: "http://localhost:8080" });
    expect(open().find("http://127.0.0.1:8081")).toBeNull();
    expect(open().find("https://127.0.0.1:8080")).toBeNull();
  });

  it("replaces the one of the same server, makes the newest current, and none when that is gone", async () => {
    const signIns = open();
    await signIns.add(signInAt(A));
    await signIns.add(signInAt(B));
    await signIns.add(signInAt(A, { user: "ana" }));
    expect(signIns.all.map(({ server, user }) => [server, user])).toEqual([
      [B, "ben"],
      [A, "ana"],
    ]);
    expect(signIns.current).toBe(A);
    await signIns.remove(A, async () => {});
    expect([signIns.current, signIns.all.length]).toEqual([null, 1]);
  });

  it("keeps its file to itself, and closes one that was open with a warning", async () => {
    await open().add(signInAt(A));
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    chmodSync(path(), 0o644);
    open().find(A);
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(warnings).toEqual([expect.stringContaining("was open to others (mode 644)")]);
  });

  it.each(["", "{", "[]", '{"signIns": {}}', '{"signIns": [{"server": "https://a.example"}]}', '{"signIns": [null]}'])(
    "refuses a file with %j and leaves it as it is",
    async (text) => {
      writeFileSync(path(), text);
      await expect(open().add(signInAt(A))).rejects.toMatchObject({ code: "DPX_USAGE" });
      expect(readFileSync(path(), "utf8")).toBe(text);
    },
  );
});

describe("SignIns.fresh", () => {
  it("renews with five minutes left and not before", async () => {
    await open().add(signInAt(A));
    now = HOUR_MS - 300_001;
    expect(await open().fresh(A)).toMatchObject({ token: "token-0" });
    now += 1;
    expect(await open().fresh(A)).toMatchObject({ token: "token-1" });
    expect(open().find(A)).toMatchObject({ token: "token-1", renewal: { refreshToken: "refresh-1" } });
    expect(renewed).toMatchObject([{ renewal: { refreshToken: "refresh-0" } }]);
  });

  it("renews a token of a short life when a quarter of that is left", async () => {
    await open().add(signInAt(A, { expiresAt: 8_000 }));
    now = 5_999;
    expect(await open().fresh(A)).toMatchObject({ token: "token-0" });
    now = 6_000;
    expect(await open().fresh(A)).toMatchObject({ token: "token-1" });
  });

  it("renews once for many who ask at once", async () => {
    await open().add(signInAt(A));
    now = HOUR_MS;
    const answers = await Promise.all(Array.from({ length: 20 }, () => open().fresh(A)));
    expect(new Set(answers.map(({ token }) => token))).toEqual(new Set(["token-1"]));
    expect(renewed).toHaveLength(1);
  });

  it("leaves the current server and the other sign-ins as they are", async () => {
    await open().add(signInAt(A));
    await open().add(signInAt(B));
    now = HOUR_MS;
    await open().fresh(A);
    expect(open().current).toBe(B);
    expect(open().find(B)).toEqual(signInAt(B));
  });

  it("goes on with what is left of the old token while the server cannot be reached, and no longer", async () => {
    await open().add(signInAt(A));
    const failure = new DuplexityError("DPX_SERVER_UNREACHABLE", "no network");
    renew = () => Promise.reject(failure);
    now = HOUR_MS - 60_000;
    expect(await open().fresh(A)).toMatchObject({ token: "token-0" });
    now = HOUR_MS - 1_000;
    await expect(open().fresh(A)).rejects.toBe(failure);
  });

  it.each(["DPX_AUTH_INVALID", "DPX_BANNED"] as const)("tells %s at once", async (code) => {
    await open().add(signInAt(A));
    renew = () => Promise.reject(new DuplexityError(code, "no more"));
    now = HOUR_MS - 60_000;
    await expect(open().fresh(A)).rejects.toMatchObject({ code, message: "no more" });
    expect(open().find(A)).toEqual(signInAt(A));
  });

  it("says which command comes next when it was given up, or when a token of its own has ended", async () => {
    const ended = { code: "DPX_AUTH_INVALID", hint: `duplexity login ${A}` };
    await expect(open().fresh(A)).rejects.toMatchObject(ended);
    await open().add(signInAt(A, { renewal: null }));
    now = HOUR_MS - 60_000;
    expect(await open().fresh(A)).toMatchObject({ token: "token-0" });
    now = HOUR_MS;
    await expect(open().fresh(A)).rejects.toMatchObject(ended);
  });

  it("ends when it is given up, though something of the old token is left", async () => {
    await open().add(signInAt(A));
    now = HOUR_MS - 60_000;
    const givingUp = new AbortController();
    renew = (_signIn, signal) =>
      new Promise((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        givingUp.abort();
      });
    await expect(open().fresh(A, givingUp.signal)).rejects.toMatchObject({ name: "AbortError" });
    expect(open().find(A)).toEqual(signInAt(A));
    renew = async (signIn) => signIn;
    // The lock is free again.
    await expect(open().fresh(A)).resolves.toMatchObject({ token: "token-0" });
  });

  it("does not bring back a sign-in that is given up while it is renewed", async () => {
    await open().add(signInAt(A));
    now = HOUR_MS;
    const removed = open().remove(A, async (newest) => {
      expect(newest.token).toBe("token-0");
    });
    await expect(open().fresh(A)).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
    await removed;
    expect(open().all).toEqual([]);
  });
});

describe("withLock", () => {
  const lock = () => join(directory, "lock");

  it("lets one at a time in, of this process and of others", async () => {
    let inside = 0;
    let most = 0;
    const enter = () =>
      withLock(lock(), async () => {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
      });
    await Promise.all(Array.from({ length: 30 }, enter));
    expect([inside, most]).toEqual([0, 1]);
  });

  it("is waited for no longer than its signal says", async () => {
    const givingUp = new AbortController();
    await withLock(lock(), async () => {
      const waiting = withLock(lock(), async () => "in", givingUp.signal);
      givingUp.abort();
      await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
    });
    expect(await withLock(lock(), async () => "in")).toBe("in");
  });

  it("is given back when the work fails", async () => {
    const failure = new Error("no");
    await expect(withLock(lock(), () => Promise.reject(failure))).rejects.toBe(failure);
    expect(await withLock(lock(), async () => "in")).toBe("in");
  });

  it("is taken from a process that has died, by exactly one of many", async () => {
    const child = spawn(process.execPath, ["-e", "0"]);
    await new Promise((resolve) => child.once("close", resolve));
    writeFileSync(lock(), JSON.stringify({ pid: child.pid, host: hostname(), nonce: 1 }));
    let inside = 0;
    let most = 0;
    const enter = () =>
      withLock(lock(), async () => {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
      });
    await Promise.all(Array.from({ length: 10 }, enter));
    expect(most).toBe(1);
  });

  it("is taken after a while from one that shows no life, also when nobody knows whose it was", async () => {
    writeFileSync(lock(), "half a li");
    expect(await withLock(lock(), async () => "in")).toBe("in");
  });
});
