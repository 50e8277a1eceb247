import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { countFailures, FailureCount } from "../../../src/server/operate/index.ts";
import { MemoryStore } from "../../../src/server/store/index.ts";

describe("countFailures", () => {
  it("counts what rejects, and changes neither answers nor errors", async () => {
    const failures = new FailureCount();
    const store = countFailures(new MemoryStore(), failures);
    await store.put("a", 1);
    expect(await store.get("a")).toBe(1);
    expect(failures.total).toBe(0);
    await store.close();
    await expect(store.get("a")).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(failures.total).toBe(1);
  });

  it("passes over errors that are none of its target's", async () => {
    const failures = new FailureCount((error) => error instanceof DuplexityError && error.code === "DPX_STORE");
    const store = countFailures(new MemoryStore(), failures);
    const refuse = () => {
      throw new DuplexityError("DPX_EXISTS", "It is there");
    };
    await expect(store.update("a", refuse)).rejects.toMatchObject({ code: "DPX_EXISTS" });
    expect(failures.total).toBe(0);
    await store.close();
  });
});
