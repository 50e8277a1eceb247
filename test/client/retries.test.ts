import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BACKOFF_HEALTHY_BYTES, BACKOFF_HEALTHY_MS } from "../../src/client/backoff.ts";
import { Retries } from "../../src/client/retries.ts";
import { DuplexityError } from "../../src/protocol/index.ts";

const lost = new DuplexityError("DPX_LINK_LOST", "Lost");
const retryAfterMs = 4_000;
const told = new DuplexityError("DPX_OVERLOADED", "Later", { retryAfterMs });

describe("Retries", () => {
  let retries: Retries;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.setSystemTime(0);
    // Each wait is as long as it may be.
    vi.spyOn(Math, "random").mockReturnValue(1);
    retries = new Retries();
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it("waits longer after each failure, and from the start after what was up and healthy", () => {
    expect([retries.next(lost, null), retries.next(lost, null)]).toEqual([500, 1_000]);
    retries.up(0);
    vi.advanceTimersByTime(BACKOFF_HEALTHY_MS);
    retries.lost(0, false);
    expect(retries.next(lost, null)).toBe(500);
  });

  it("takes what was up for a moment for a failure, unless it has carried much", () => {
    expect(retries.next(lost, null)).toBe(500);
    retries.up(7);
    retries.lost(7, true);
    expect([retries.areFree, retries.next(lost, null)]).toEqual([false, 1_000]);
    retries.up(7);
    retries.lost(7 + BACKOFF_HEALTHY_BYTES, true);
    expect([retries.areFree, retries.next(lost, null)]).toEqual([false, 500]);
  });

  it("does not wait where only the link broke: once", () => {
    retries.up(0);
    vi.advanceTimersByTime(BACKOFF_HEALTHY_MS);
    retries.lost(0, true);
    expect([retries.next(lost, null), retries.areFree]).toEqual([0, false]);
    expect(retries.next(lost, null)).toBeGreaterThan(0);
  });

  it("does not wait as often as it is granted, and keeps what is granted when the link breaks", () => {
    retries.grant(2);
    retries.up(0);
    vi.advanceTimersByTime(BACKOFF_HEALTHY_MS);
    retries.lost(0, true);
    expect([retries.next(lost, null), retries.next(lost, null)]).toEqual([0, 0]);
    expect(retries.areFree).toBe(false);
    retries.grant(2);
    retries.grant(0);
    expect(retries.areFree).toBe(false);
  });

  it("is not sent on and on by nodes that cut what they have just taken, however soon its turn is", () => {
    retries.up(0);
    retries.lost(0, false);
    expect([retries.next(lost, 10), retries.next(lost, 10), retries.next(lost, 9_000)]).toEqual([500, 1_000, 9_000]);
    retries.up(0);
    vi.advanceTimersByTime(BACKOFF_HEALTHY_MS);
    retries.lost(0, false);
    expect(retries.next(lost, 10)).toBe(10);
  });

  it("comes to another node when it is told to", () => {
    expect(retries.next(lost, 9_000)).toBe(9_000);
    // It was no failure of the node that it comes to.
    expect(retries.next(lost, null)).toBe(500);
  });

  it("waits as long as the server says and up to half of that again, also where it need not wait", () => {
    retries.grant(1);
    expect(retries.next(told, null)).toBe(retryAfterMs * 1.5);
  });
});
