import { describe, expect, it } from "vitest";
import { SERVE_FLAGS, UP_FLAGS, variableOf } from "../../src/cli/flags.ts";
import { misspeltVariables } from "../../src/cli/variables.ts";

describe("misspeltVariables", () => {
  it("names the variable that was perhaps meant", () => {
    expect(misspeltVariables({ DUPLEXITY_SEVER: "x", DUPLEXITY_TOKENFILE: "x", DUPLEXITY_ADMIN_TOEKN: "x" })).toEqual([
      'nothing reads the variable "DUPLEXITY_SEVER"; did you mean DUPLEXITY_SERVER?',
      'nothing reads the variable "DUPLEXITY_TOKENFILE"; did you mean DUPLEXITY_TOKEN_FILE?',
      'nothing reads the variable "DUPLEXITY_ADMIN_TOEKN"; did you mean DUPLEXITY_ADMIN_TOKEN?',
    ]);
  });

  it("says nothing of those that are read, of the tests', and of what is far from all", () => {
    const names = [...UP_FLAGS, ...SERVE_FLAGS].filter((flag) => !flag.isAction).map((flag) => variableOf(flag.key));
    const others = [
      "TOKEN",
      "ADMIN_TOKEN",
      "CONFIG_DIR",
      "RUNTIME_DIR",
      "DETACHED_LOG",
      "SEED",
      "TEST_TOKEN",
      "BANANA",
    ];
    const all = [...names, ...others.map((name) => `DUPLEXITY_${name}`), "SERVER", "XDUPLEXITY_SEVER"];
    expect(misspeltVariables(Object.fromEntries(all.map((name) => [name, "1"])))).toEqual([]);
  });

  it("lets no control character of a name reach the terminal", () => {
    expect(misspeltVariables({ "DUPLEXITY_SERVE\u001b": "x" })[0]).toContain('"DUPLEXITY_SERVE\\u001b"');
  });
});
