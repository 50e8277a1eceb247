// How long a hub that drains waits for its clients, by a clock that the test sets.

import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { ClientRecord, HeldPipe } from "../../../src/server/hub/client-record.ts";
import { handOver } from "../../../src/server/hub/hand-over.ts";
import { useStage } from "../../support/stage.ts";

const stage = useStage();

function heldBy(count: number): readonly HeldPipe[] {
  return Array.from({ length: count }, (_, index) => {
    const [name, protocol] = [`cat${index}`, "http"] as const;
    return { name, protocol, hostname: `${name}.test`, url: `http://${name}.test`, epoch: 1 };
  });
}

function drain(held: number) {
  const now = vi.spyOn(performance, "now").mockReturnValue(0);
  stage.defer(() => now.mockRestore());
  const client = { ended: null, isPresent: true, held: heldBy(held), control: null, link: null };
  const looks = vi.fn(() => client.held);
  const watched = Object.defineProperty({ ...client }, "held", { get: looks }) as unknown as ClientRecord;
  let isOver = false;
  const options = { clients: () => [watched], deadlineMs: 30_000, dataPlaneUris: [], hasOthers: true };
  const over = handOver(options).then(() => {
    isOver = true;
  });
  /** It has looked at the client since. */
  const looked = async (): Promise<boolean> => {
    const { length } = looks.mock.calls;
    await vi.waitUntil(() => isOver || looks.mock.calls.length > length + 2, { timeout: 10_000 });
    await turn();
    return isOver;
  };
  return { client, over, looked, set: (ms: number) => now.mockReturnValue(ms) };
}

describe("handOver", () => {
  it("waits for a client that has all its names here, for five seconds", async () => {
    const { over, looked, set } = drain(2);
    set(4_999);
    expect(await looked()).toBe(false);
    set(5_000);
    await over;
  });

  it("waits no longer for the names that were left behind when the others went", async () => {
    const { client, over, looked, set } = drain(3);
    set(100);
    client.held = heldBy(2);
    expect(await looked()).toBe(false);
    set(550);
    client.held = heldBy(1);
    expect(await looked()).toBe(false);
    set(1_049);
    expect(await looked()).toBe(false);
    set(1_050);
    await over;
  });

  it("does not wait for a client without names", async () => {
    const { client, over } = drain(1);
    client.held = [];
    await over;
  });
});
