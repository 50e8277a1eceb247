// What the sign-in answers while what it keeps cannot be reached: of every kind of endpoint one, as its askers ask it.

import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { MemoryStore, type Value } from "../../../src/server/store/index.ts";
import { useStage } from "../../support/stage.ts";
import { begin, discover } from "./cli.ts";
import { type StartedAuth, startAuth } from "./stage.ts";
import { hiddenFields, TestBrowser } from "./test-browser.ts";

const stage = useStage();

const WHERE = "http://127.0.0.1:7100";
const SAID = `Cannot ask ${WHERE}: it does not answer`;

class FailingStore extends MemoryStore {
  fails = false;

  override async get(key: string): Promise<Value | null> {
    if (this.fails) throw new DuplexityError("DPX_STORE", SAID);
    return super.get(key);
  }

  override async update(...args: Parameters<MemoryStore["update"]>): Promise<Value | null> {
    if (this.fails) throw new DuplexityError("DPX_STORE", SAID);
    return super.update(...args);
  }
}

async function startFailing() {
  const store = new FailingStore();
  stage.defer(() => store.close());
  return { store, started: await startAuth(stage, { store }) };
}

function ask(started: StartedAuth, path: string, fields: Readonly<Record<string, string>>) {
  return new TestBrowser(started).post(path, fields, { headers: { accept: "application/json", origin: undefined } });
}

describe("The auth service without its store", () => {
  it.each([
    ["/token", { grant_type: "refresh_token", refresh_token: "x".repeat(43) }],
    ["/token", { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: "x".repeat(43) }],
    ["/device/code", { scope: "openid" }],
    ["/revoke", { token: "x".repeat(43) }],
  ])("tells a program that asks %s for %o to try again", async (path, fields) => {
    const { store, started } = await startFailing();
    store.fails = true;
    const seen = await ask(started, `/auth${path}`, { client_id: "duplexity-cli", ...fields });
    expect([seen.status, JSON.parse(seen.body)]).toMatchObject([503, { error: "temporarily_unavailable" }]);
    expect(seen.headers["duplexity-error"]).toBe("DPX_STORE");
    expect(seen.body).not.toContain(WHERE);
    expect(started.logged).toEqual([`error sign-in has failed at /auth${path}: ${SAID}`]);
  });

  it("shows a browser that it is this server's fault, and that it may pass", async () => {
    const { store, started } = await startFailing();
    const browser = new TestBrowser(started);
    await browser.signIn();
    const page = await browser.get("/auth/device");
    const begun = await begin(await discover(started));
    store.fails = true;
    for (const seen of [
      await browser.get("/auth/account"),
      await browser.get("/auth/device"),
      await browser.post("/auth/device", { ...hiddenFields(page.body), user_code: "BCDF-BCDF" }),
      await browser.get(begun.path),
    ]) {
      expect([seen.status, seen.headers["duplexity-error"]]).toEqual([503, "DPX_STORE"]);
      expect(seen.body).toContain("DPX_STORE");
      expect(seen.body).not.toContain(WHERE);
    }
    expect(started.logged.every((line) => line.endsWith(SAID))).toBe(true);
  });
});
