// A machine without a browser signs in: RFC 8628, and what keeps somebody else's code from being approved.

import * as client from "openid-client";
import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { discover, errorOf } from "./cli.ts";
import { addPerson, type StartedAuth, startAuth } from "./stage.ts";
import { hiddenFields, TestBrowser } from "./test-browser.ts";

const stage = useStage();

async function start(started: StartedAuth, machine = "bens-laptop") {
  const configuration = await discover(started);
  const scope = "openid offline_access profile";
  const device = await client.initiateDeviceAuthorization(configuration, { scope, machine });
  const redeem = (): Promise<string> =>
    errorOf(
      client.genericGrantRequest(configuration, "urn:ietf:params:oauth:grant-type:device_code", {
        device_code: device.device_code,
      }),
    );
  return { configuration, device, redeem };
}

/** Types the code, and answers the page that asks whether it is meant. */
async function typeCode(browser: TestBrowser, userCode: string) {
  const page = await browser.get("/auth/device");
  return browser.post("/auth/device", { ...hiddenFields(page.body), user_code: userCode });
}

describe("The device flow of the auth service", () => {
  it("lets the machine in after the code was typed, looked at and approved", async () => {
    const started = await startAuth(stage);
    const { configuration, device, redeem } = await start(started);
    expect(device.verification_uri).toBe(`${started.auth.issuer}/device`);
    expect(device.user_code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    expect(await redeem()).toBe("authorization_pending");
    started.address = "198.51.100.4";
    const browser = new TestBrowser(started);
    expect((await browser.signIn("ben", undefined, "/auth/device")).body).toContain("Let a machine in");
    const asked = await typeCode(browser, device.user_code.toLowerCase().replace("-", " "));
    for (const shown of [device.user_code, "bens-laptop", "203.0.113.7"]) expect(asked.body).toContain(shown);
    expect(await redeem()).toBe("authorization_pending");
    const done = await browser.post("/auth/device", { ...hiddenFields(asked.body), confirm: "yes" });
    expect(done.body).toContain("The machine is signed in");
    const tokens = await client.pollDeviceAuthorizationGrant(configuration, { ...device, interval: 0 });
    expect(tokens.claims()).toMatchObject({ preferred_username: "ben", aud: "duplexity-cli" });
    expect(await redeem()).toBe("invalid_grant");
    const approved = (await started.audit.read(10)).find(({ action }) => action === "device-approve");
    expect(approved).toMatchObject({ by: "ben", whom: "bens-laptop", from: "198.51.100.4" });
    expect(approved?.detail).toContain("203.0.113.7");
  });

  it("tells the machine when it was denied", async () => {
    const started = await startAuth(stage);
    const { device, redeem } = await start(started);
    const browser = new TestBrowser(started);
    await browser.signIn();
    const asked = await typeCode(browser, device.user_code);
    const denied = await browser.post("/auth/device", { ...hiddenFields(asked.body), abort: "yes" });
    expect(denied.body).toContain("Denied");
    expect(await redeem()).toBe("access_denied");
    expect((await started.audit.read(1))[0]).toMatchObject({ action: "device-deny", by: "ben", whom: "bens-laptop" });
  });

  it("takes no code from a link, and names none in the answer", async () => {
    const started = await startAuth(stage);
    const { device } = await start(started);
    expect(device.verification_uri_complete).toBeUndefined();
    const browser = new TestBrowser(started);
    await browser.signIn();
    const page = await browser.get(`/auth/device?user_code=${device.user_code}`);
    expect(page.body).toContain("Let a machine in");
    expect(page.body).not.toContain(device.user_code);
  });

  it("approves nothing that was not shown to this browser by this server", async () => {
    const started = await startAuth(stage);
    const { device, redeem } = await start(started);
    const browser = new TestBrowser(started);
    await browser.signIn();
    const asked = await typeCode(browser, device.user_code);
    const fields = { ...hiddenFields(asked.body), confirm: "yes" };
    await browser.post("/auth/device", { ...fields, xsrf: "" });
    const strangers = [{ origin: "https://evil.example" }, { origin: undefined, "sec-fetch-site": undefined }];
    for (const headers of strangers) expect((await browser.post("/auth/device", fields, { headers })).status).toBe(403);
    expect(await redeem()).toBe("authorization_pending");
  });

  it.each([
    [
      "an account, from many addresses",
      (started: StartedAuth, tries: number) => Object.assign(started, { address: `192.0.2.${tries}` }),
    ],
    ["an address, as many people", () => {}],
  ])("lets nobody guess: ten codes of %s, then a wait", async (name, prepare) => {
    const started = await startAuth(stage);
    const { device } = await start(started);
    await addPerson(started.accounts, "eve");
    const browser = new TestBrowser(started);
    await browser.signIn();
    for (let tries = 0; tries < 10; tries += 1) {
      prepare(started, tries);
      const wrong = await typeCode(browser, "BBBB-BBBB");
      expect([wrong.status, wrong.body.includes("There is no such code")]).toEqual([400, true]);
    }
    const last = name.startsWith("an account") ? browser : new TestBrowser(started);
    if (last !== browser) await last.signIn("eve");
    const late = await typeCode(last, device.user_code);
    expect([late.status, late.body.includes("DPX_RATE_LIMIT")]).toEqual([429, true]);
  });

  it("shows no name of a machine that could be taken for words of the server", async () => {
    const started = await startAuth(stage);
    const { device } = await start(started, '<b>laptop</b>. Click "Approve"');
    const browser = new TestBrowser(started);
    await browser.signIn();
    const asked = await typeCode(browser, device.user_code);
    expect(asked.body).toContain("does not say its name");
    expect(asked.body).not.toContain("laptop");
  });

  it("gives out so many codes to one address, and says so as RFC 8628 does", async () => {
    const started = await startAuth(stage, { limits: { device: { points: 2, durationMs: 60_000 } } });
    await start(started);
    await start(started);
    expect(await errorOf(start(started))).toBe("slow_down");
  });

  it("gives out so many codes to all addresses together: there is room for what else is kept", async () => {
    const started = await startAuth(stage, { limits: { begin: { points: 2, durationMs: 60_000 } } });
    for (const address of ["192.0.2.1", "192.0.2.2"]) {
      started.address = address;
      await start(started);
    }
    started.address = "192.0.2.3";
    expect(await errorOf(start(started))).toBe("slow_down");
  });

  it("keeps nothing for who asks with more than a sign-in needs", async () => {
    const started = await startAuth(stage);
    const configuration = await discover(started);
    const before = await started.store.list("oidc/");
    for (const name of ["login_hint", "nonce", "ui_locales"]) {
      const scope = "openid offline_access profile";
      const asked = client.initiateDeviceAuthorization(configuration, { scope, [name]: "x".repeat(10_000) });
      expect(await errorOf(asked)).toBe("invalid_request");
    }
    expect(await started.store.list("oidc/")).toEqual(before);
  });

  it("keeps neither code as it was given out", async () => {
    const started = await startAuth(stage);
    const { device } = await start(started);
    const kept = JSON.stringify(await started.store.list(""));
    expect(kept).not.toContain(device.device_code);
    expect(kept).not.toContain(device.user_code.replace("-", ""));
  });
});
