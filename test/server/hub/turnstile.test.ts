// A hub that has much to do: whom it takes, whom it sends elsewhere, and whom it asks to come later.

import { describe, expect, it } from "vitest";
import type { DiscoveryRequest } from "../../../src/protocol/index.ts";
import { checkNewcomer, MAX_REDIRECTS, OVERLOADED_RETRY_MS } from "../../../src/server/hub/turnstile.ts";
import type { Load } from "../../../src/server/load-level.ts";
import { useStage } from "../../support/stage.ts";
import { startHub } from "./stage.ts";

const stage = useStage();
const OTHER = "ws://node2.test/dialer";

function ask(load: Load, redirects: number | undefined, others: readonly string[] = [OTHER], isDraining = false): void {
  const request: DiscoveryRequest = {
    ...{ type: "discoveryRequest", clientId: "client-1", protocolVersions: [1], software: "test", features: [] },
    ...(redirects === undefined ? {} : { redirects }),
  };
  checkNewcomer(request, {
    isDraining: () => isDraining,
    load: () => load,
    cluster: { lightHubs: () => others },
  });
}

describe("checkNewcomer", () => {
  it("takes everybody while there is little to do", () => {
    expect(() => ask("normal", 0)).not.toThrow();
    expect(() => ask("normal", undefined)).not.toThrow();
  });

  it.each(["busy", "overloaded"] as const)(
    "sends a client from a hub that is %s to one that has less to do",
    (load) => {
      expect(() => ask(load, 0)).toThrow(
        expect.objectContaining({ code: "DPX_OVERLOADED", elsewhere: [OTHER], retryAfterMs: OVERLOADED_RETRY_MS }),
      );
    },
  );

  it("takes at a busy hub who was sent on often enough, who does not go elsewhere, and all when no other has less to do", () => {
    expect(() => ask("busy", MAX_REDIRECTS - 1)).toThrow(expect.objectContaining({ code: "DPX_OVERLOADED" }));
    expect(() => ask("busy", MAX_REDIRECTS)).not.toThrow();
    expect(() => ask("busy", undefined)).not.toThrow();
    expect(() => ask("busy", 0, [])).not.toThrow();
  });

  it.each([
    ["who does not go elsewhere", undefined, [OTHER]],
    ["who was sent on often enough", MAX_REDIRECTS, [OTHER]],
    ["anybody, when no other hub has less to do", 0, []],
  ])("takes nobody at an overloaded hub, and says when to come back: %s", (_who, redirects, others) => {
    expect(() => ask("overloaded", redirects, others)).toThrow(
      expect.objectContaining({
        ...{ code: "DPX_OVERLOADED", elsewhere: [], retryAfterMs: OVERLOADED_RETRY_MS },
        message: "Cannot take another client: this node has too much to do",
      }),
    );
  });

  it("sends clients away from a hub that drains", () => {
    expect(() => ask("normal", 0, [OTHER], true)).toThrow(
      expect.objectContaining({ code: "DPX_DRAINING", elsewhere: [OTHER] }),
    );
    expect(() => ask("normal", undefined, [OTHER], true)).toThrow(
      expect.objectContaining({ code: "DPX_DRAINING", elsewhere: [] }),
    );
  });
});

describe("A hub that is overloaded", () => {
  it("refuses a new client with a code and a time, and leaves those alone that it has", async () => {
    let load: Load = "normal";
    const hub = await startHub(stage, { load: () => load });
    const known = hub.client();
    await known.up("cat1");
    load = "overloaded";
    const stranger = hub.client();
    const control = await stranger.openControl();
    control.send(stranger.discovery());
    expect(await control.closed).toMatchObject({ code: "DPX_OVERLOADED" });
    expect(control.closeCode).toBe(4_503);
    expect(control.messages).toContainEqual(
      expect.objectContaining({ type: "error", code: "DPX_OVERLOADED", retryAfterMs: OVERLOADED_RETRY_MS }),
    );
    // Its next link, over the same control socket and over another one.
    await known.discover();
    expect(hub.hub.statistics.clients).toBe(1);
    load = "normal";
    await hub.client().discover();
  });
});
