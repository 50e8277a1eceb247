// Liveness: when it asks, when it gives up, and that a process that slept asks first.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Liveness } from "../../src/protocol/index.ts";

const heartbeat = { idleMs: 10_000, timeoutMs: 5_000 };

describe("Liveness", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("asks after silence, and gives up once when no answer comes", () => {
    const ping = vi.fn();
    const dead = vi.fn();
    new Liveness({ heartbeat, ping, dead });
    vi.advanceTimersByTime(9_999);
    expect(ping).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(ping).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(5_000);
    expect(dead.mock.calls).toEqual([[15_000]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("takes whatever comes as the answer", () => {
    const dead = vi.fn();
    const liveness = new Liveness({ heartbeat, ping: () => {}, dead });
    for (let round = 0; round < 10; round++) {
      vi.advanceTimersByTime(14_000);
      liveness.heard();
    }
    expect(dead).not.toHaveBeenCalled();
  });

  it("asks again instead of giving up when the process slept while it waited", () => {
    const ping = vi.fn();
    const dead = vi.fn();
    const now = vi.spyOn(performance, "now").mockReturnValue(0);
    const liveness = new Liveness({ heartbeat, ping, dead });
    now.mockReturnValue(10_000);
    vi.advanceTimersToNextTimer();
    expect(ping).toHaveBeenCalledTimes(1);
    // Due at 15 s, but the machine was asleep until 18 s: the answer may wait unread.
    now.mockReturnValue(18_000);
    vi.advanceTimersToNextTimer();
    expect(dead).not.toHaveBeenCalled();
    expect(ping).toHaveBeenCalledTimes(2);
    liveness.heard();
    now.mockReturnValue(23_000);
    vi.advanceTimersToNextTimer();
    expect(dead).not.toHaveBeenCalled();
    liveness.stop();
    now.mockRestore();
  });

  it("asks a busy peer only where the round trip is wanted", () => {
    const ping = vi.fn();
    const quiet = vi.fn();
    const wanted = new Liveness({ heartbeat, pingsWhenBusy: true, ping, dead: () => {} });
    const other = new Liveness({ heartbeat, ping: quiet, dead: () => {} });
    for (let second = 0; second < 40; second++) {
      wanted.heard();
      other.heard();
      vi.advanceTimersByTime(1_000);
    }
    expect(ping.mock.calls.length).toBeGreaterThanOrEqual(2);
    expect(quiet).not.toHaveBeenCalled();
  });

  it("follows another heartbeat, but not once stopped", () => {
    const ping = vi.fn();
    const liveness = new Liveness({ heartbeat, ping, dead: () => {} });
    liveness.follow({ idleMs: 100, timeoutMs: 5_000 });
    vi.advanceTimersByTime(100);
    expect(ping).toHaveBeenCalledTimes(1);
    liveness.stop();
    liveness.follow(heartbeat);
    expect(vi.getTimerCount()).toBe(0);
  });
});
