// Fresh tokens for a tunnel that stays: when they are asked for, and what happens when there is none.

import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Credential } from "../../src/client/credential.ts";
import { type ForwardOptions, forward, type TokenAnswer, type Tunnel } from "../../src/client/index.ts";
import { TokenRenewal } from "../../src/client/token-renewal.ts";
import { DuplexityError } from "../../src/protocol/index.ts";
import { useStage } from "../support/stage.ts";
import { FakeHub } from "./fake-hub.ts";
import { listen } from "./support.ts";

describe("TokenRenewal", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }));
  afterEach(() => void vi.useRealTimers());

  /** A renewal over `answers`, of which the first is shown at once. */
  async function renewalOf(answers: readonly (TokenAnswer | Error)[]) {
    const left = [...answers];
    const asked: number[] = [];
    const told: string[] = [];
    const token = (): TokenAnswer => {
      asked.push(Date.now());
      const answer = left.shift();
      if (answer === undefined) throw new Error("asked too often");
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const credential = new Credential({ token });
    const renewal = new TokenRenewal({
      credential,
      onToken: (fresh) => told.push(fresh),
      onRefused: (error) => told.push(error.code),
    });
    await credential.authorize(new URL("ws://127.0.0.1:1/control"), new AbortController().signal);
    renewal.arm();
    return { asked, told, renewal };
  }

  it("asks five minutes before the end, and a quarter of a short life before it", async () => {
    const { asked, told } = await renewalOf([
      { token: "a", expiresAt: 3_600_000 },
      { token: "b", expiresAt: 3_300_000 + 400_000 },
      { token: "c", expiresAt: null },
    ]);
    await vi.runAllTimersAsync();
    expect(asked).toEqual([0, 3_300_000, 3_600_000]);
    expect(told).toEqual(["b", "c"]);
  });

  it("tells no token twice, and asks at most once a second", async () => {
    const { asked, told } = await renewalOf([
      { token: "a", expiresAt: 0 },
      { token: "a", expiresAt: 0 },
      { token: "b", expiresAt: null },
    ]);
    await vi.runAllTimersAsync();
    expect(asked).toEqual([0, 1_000, 2_000]);
    expect(told).toEqual(["b"]);
  });

  it("tries again after a failure that may pass, and tells one that will not", async () => {
    const { asked, told } = await renewalOf([
      { token: "a", expiresAt: 60_000 },
      new DuplexityError("DPX_SERVER_UNREACHABLE", "no network"),
      new DuplexityError("DPX_AUTH_INVALID", "signed out"),
    ]);
    await vi.runAllTimersAsync();
    expect(asked).toEqual([0, 45_000, 60_000]);
    expect(told).toEqual(["DPX_AUTH_INVALID"]);
  });

  it("asks for nothing when it is stopped, or when the token has no end", async () => {
    const ending = await renewalOf([{ token: "a", expiresAt: 60_000 }]);
    ending.renewal.stop();
    const endless = await renewalOf(["dpx_abc"]);
    await vi.runAllTimersAsync();
    expect([ending.asked, endless.asked]).toEqual([[0], [0]]);
  });
});

describe("Tunnel", () => {
  const stage = useStage();
  let hub: FakeHub;
  let target: number;

  beforeEach(async () => {
    hub = await new FakeHub().listen();
    stage.defer(() => hub.close());
    const origin = createServer();
    target = await listen(origin);
    stage.defer(() => origin.close());
  });

  async function up(options: Partial<ForwardOptions>): Promise<Tunnel> {
    const tunnel = await forward(target, { server: hub.url, name: "cat1", ...options });
    stage.defer(() => tunnel.close());
    await hub.next("live");
    return tunnel;
  }

  it("shows a fresh token on the control socket before the old one ends", async () => {
    let isRenewed = false;
    await up({
      token: () => (isRenewed ? { token: "b", expiresAt: null } : { token: "a", expiresAt: Date.now() + 1_200 }),
    });
    isRenewed = true;
    await hub.next("message");
    const { message } = await hub.next("message");
    expect(message).toEqual({ type: "tokenRefresh", token: "b" });
    expect(hub.upgrades.map(({ headers }) => headers.authorization)).toEqual(["Bearer a", "Bearer a"]);
  });

  it("ends with DPX_AUTH_INVALID when there is no token any more", async () => {
    let isSignedOut = false;
    const tunnel = await up({
      token: () => {
        if (isSignedOut) throw new DuplexityError("DPX_AUTH_INVALID", "signed out");
        return { token: "a", expiresAt: Date.now() + 1_000 };
      },
    });
    const closed = once(tunnel, "close");
    isSignedOut = true;
    expect(await closed).toMatchObject([{ code: "DPX_AUTH_INVALID", message: "signed out" }]);
  });

  it("asks for another token when the server says that the old one has ended, and is up again", async () => {
    let token = "a";
    const tunnel = await up({ token: () => token });
    const back = once(tunnel, "reconnect");
    token = "b";
    hub.control?.close(4401, "DPX_AUTH_INVALID: it has ended");
    hub.link?.close("DPX_AUTH_INVALID", "it has ended");
    await back;
    expect(hub.upgrades.slice(2).map(({ headers }) => headers.authorization)).toContain("Bearer b");
    expect(tunnel.status.state).toBe("up");
  });

  it("ends when that one is refused, too", async () => {
    const tunnel = await up({ token: () => "a" });
    const closed = once(tunnel, "close");
    hub.refuseControl = { code: "DPX_AUTH_INVALID", message: "it has ended" };
    hub.control?.close(4401, "DPX_AUTH_INVALID: it has ended");
    expect(await closed).toMatchObject([{ code: "DPX_AUTH_INVALID", message: "it has ended" }]);
  });

  it("ends at once when the token is fixed", async () => {
    const tunnel = await up({ token: "a" });
    const closed = once(tunnel, "close");
    hub.control?.close(4401, "DPX_AUTH_INVALID: it has ended");
    expect(await closed).toMatchObject([{ code: "DPX_AUTH_INVALID" }]);
    expect(hub.upgrades).toHaveLength(2);
  });
});
