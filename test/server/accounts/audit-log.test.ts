// What was done is written down.

import { describe, expect, it } from "vitest";
import { AuditLog } from "../../../src/server/accounts/index.ts";
import { MAX_LOG_ENTRIES } from "../../../src/server/store/store.ts";
import { useStage } from "../../support/stage.ts";
import { openWorld } from "./setup.ts";

const stage = useStage();
const KICK = { action: "kick", by: "ada", whom: "ben", from: "127.0.0.1", detail: null } as const;

describe("AuditLog", () => {
  it("keeps events in their order, and answers the newest", async () => {
    const { store, now, clock } = await openWorld(stage);
    const log = new AuditLog({ store, now });
    const first = await log.record(KICK);
    clock.sleep(1_000);
    const second = await log.record({ ...KICK, action: "ban", detail: "until 12:00" });
    expect(first).toEqual({
      ...KICK,
      auditId: expect.stringMatching(/^a_[\w-]{22}$/),
      at: "2027-01-15T08:00:00.000Z",
    });
    expect(await log.read(10)).toEqual([first, second]);
    expect(await log.read(1)).toEqual([second]);
    expect(await new AuditLog({ store, now }).read(10)).toEqual([first, second]);
  });

  it("bounds what somebody typed, and takes control characters out", async () => {
    const { store, now } = await openWorld(stage);
    const log = new AuditLog({ store, now });
    const whom = `\u001b]0;evil\u0007\n\u202e${"x".repeat(5_000)}`;
    const event = await log.record({ ...KICK, action: "sign-in-failed", by: null, whom });
    expect(event.whom).toMatch(/^]0;evil {3}x{500,}…$/);
    expect(event.whom?.length).toBeLessThanOrEqual(513);
    expect(await log.read(1)).toEqual([event]);
  });

  it("keeps what admins did, however many sign-ins fail, and shows it among them", async () => {
    const { store, now, clock } = await openWorld(stage);
    const log = new AuditLog({ store, now });
    const kick = await log.record(KICK);
    clock.sleep(1_000);
    for (let count = 0; count <= MAX_LOG_ENTRIES; count += 1) {
      await log.record({ ...KICK, action: "sign-in-failed", by: null, detail: String(count) });
    }
    clock.sleep(1_000);
    const ban = await log.record({ ...KICK, action: "ban" });
    const events = await log.read(5);
    expect(events.map(({ action }) => action)).toEqual([
      ...["kick", "sign-in-failed", "sign-in-failed", "sign-in-failed", "ban"],
    ]);
    expect([events[0], events[4]]).toEqual([kick, ban]);
    expect(await log.read(2)).toEqual([events[3], ban]);
    expect(await log.read(1)).toEqual([ban]);
    const last = await log.record({ ...KICK, action: "sign-in-failed", by: null });
    expect(await log.read(1)).toEqual([last]);
    expect(await store.readLog("audit", 10)).toHaveLength(2);
  });

  it("answers an event once that is in the log twice", async () => {
    const { store, now } = await openWorld(stage);
    const log = new AuditLog({ store, now });
    const kick = await log.record(KICK);
    const ban = await log.record({ ...KICK, action: "ban" });
    await store.append("audit", { ...kick });
    expect(await log.read(10)).toEqual([kick, ban]);
  });

  it("leaves out what it does not understand", async () => {
    const { store, now } = await openWorld(stage);
    const log = new AuditLog({ store, now });
    for (const value of [1, "x", [], {}, { auditId: "a", at: "b", action: "toString" }])
      await store.append("audit", value);
    const kept = await log.record(KICK);
    expect(await log.read(10)).toEqual([kept]);
  });
});
