import { describe, expect, it } from "vitest";
import { DuplexityError, type ErrorCode } from "../../src/protocol/index.ts";
import { patiently } from "../../src/server/patience.ts";

/** Fails `times` times with `code`, then answers. */
function failing(code: ErrorCode, times: number) {
  const calls: number[] = [];
  const warnings: string[] = [];
  const open = async (): Promise<string> => {
    calls.push(performance.now());
    if (calls.length <= times) throw new DuplexityError(code, "Cannot use Redis", { hint: "Start it." });
    return "open";
  };
  return { open, calls, warnings, warn: (message: string) => void warnings.push(message) };
}

describe("patiently", () => {
  it("tries again while the store is out of reach, and says so once", async () => {
    const { open, calls, warnings, warn } = failing("DPX_STORE", 2);
    expect(await patiently(open, { warn })).toBe("open");
    expect(calls).toHaveLength(3);
    expect(warnings).toEqual(["Cannot use Redis; this node tries again for 60 s, and takes no work before"]);
  });

  it("ends when its time is over, with what was wrong", async () => {
    const { open, calls, warn } = failing("DPX_STORE", 1_000);
    await expect(patiently(open, { warn, patienceMs: 50 })).rejects.toMatchObject({
      ...{ code: "DPX_STORE", message: "Cannot use Redis; tried for 0.05 s", hint: "Start it." },
    });
    // At once, and when the time is over: it is shorter than a wait.
    expect(calls).toHaveLength(2);
  });

  it.each(["DPX_USAGE", "DPX_LISTEN"] as const)("waits for nothing when it is %s", async (code) => {
    const { open, calls, warnings, warn } = failing(code, 1);
    await expect(patiently(open, { warn })).rejects.toMatchObject({ code });
    expect([calls.length, warnings.length]).toEqual([1, 0]);
  });
});
