import { describe, expect, it } from "vitest";
import { inOrderGiven } from "../../src/cli/up-plan.ts";

describe("inOrderGiven", () => {
  it("keeps bare targets and pipes in the order of the command line, past other flags' values", () => {
    const args = ["--server", "9999", "--pipe", "a:1", "9090", "--pipe=b:2", "--json", "-d", "9091", "--", "--pipe"];
    expect(inOrderGiven(args, ["9090", "9091", "--pipe"], ["a", "b"])).toEqual(["a", "9090", "b", "9091", "--pipe"]);
  });

  it("loses nothing when it cannot follow", () => {
    expect(inOrderGiven([], ["9090"], ["a"])).toEqual(["9090", "a"]);
    expect(inOrderGiven(["9090", "--pipe", "a:1", "9091"], ["9090"], ["a"])).toEqual(["9090", "a"]);
  });
});
