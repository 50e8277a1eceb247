// Work on one thing that must not overtake other work on it.

import { describe, expect, it } from "vitest";
import { InOrder, MAX_IN_ORDER } from "../../../src/server/store/in-order.ts";
import { deferred } from "../../support/wait.ts";

describe("InOrder", () => {
  it("does what is given for one name one after another, also after a failure, and other names meanwhile", async () => {
    const order = new InOrder();
    const gate = deferred<void>();
    const done: string[] = [];
    const note = async (what: string) => void done.push(what);
    const failing = order.run("a", async () => {
      await gate.promise;
      throw new Error("no");
    });
    const later = [order.run("a", () => note("a 1")), order.run("a", () => note("a 2"))];
    await order.run("b", () => note("b"));
    expect(done).toEqual(["b"]);
    gate.resolve();
    await expect(failing).rejects.toThrow("no");
    await Promise.all(later);
    expect(done).toEqual(["b", "a 1", "a 2"]);
  });

  it("refuses what is more than may be in line, for that name only, until there is room", async () => {
    const order = new InOrder();
    const gate = deferred<void>();
    const line = Array.from({ length: MAX_IN_ORDER }, () => order.run("a", () => gate.promise));
    await expect(order.run("a", async () => {})).rejects.toMatchObject({
      code: "DPX_STORE",
      message: 'Cannot change "a": 1000 changes of it wait already',
    });
    await order.run("b", async () => {});
    gate.resolve();
    await Promise.all(line);
    expect(await order.run("a", async () => "room")).toBe("room");
  });
});
