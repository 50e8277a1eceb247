import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { watchKeyboard } from "../../src/cli/keyboard.ts";

describe("watchKeyboard", () => {
  it("hands over each line in lower case, however it is split, and throws a long paste away", () => {
    const stdin = new PassThrough();
    const keys: string[] = [];
    const stop = watchKeyboard(stdin, (key) => keys.push(key));
    for (const chunk of ["h\n", "Q", "\nu\n", "x".repeat(10_000), "\n"]) {
      stdin.write(chunk);
      stdin.read();
    }
    expect(keys.slice(0, 3)).toEqual(["h", "q", "u"]);
    expect(keys[3]?.length).toBeLessThanOrEqual(256);
    stop();
    expect(stdin.listenerCount("data")).toBe(0);
  });
});
