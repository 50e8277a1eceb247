import { describe, expect, it } from "vitest";
import { Pause } from "../../src/client/pause.ts";

describe("Pause", () => {
  it("waits for its time, and is over at once when it is ended", async () => {
    const pause = new Pause({ signal: new AbortController().signal, ref: true });
    const startedAt = performance.now();
    await pause.wait(200);
    // Timers count from the turn in which they are set, which began a little earlier.
    expect(performance.now() - startedAt).toBeGreaterThan(100);
    const long = pause.wait(3_600_000);
    pause.end();
    await long;
  });

  it("waits the next time for its own time, whatever was ended before", async () => {
    const pause = new Pause({ signal: new AbortController().signal, ref: true });
    pause.end();
    const startedAt = performance.now();
    await pause.wait(100);
    pause.end();
    await pause.wait(200);
    expect(performance.now() - startedAt).toBeGreaterThan(200);
  });

  it("waits for nothing once its tunnel has ended", async () => {
    const life = new AbortController();
    const pause = new Pause({ signal: life.signal, ref: true });
    life.abort();
    await pause.wait(3_600_000);
  });
});
