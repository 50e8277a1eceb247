import { describe, expect, it } from "vitest";
import type { Flag } from "../../src/cli/flags.ts";
import { SettingsValues } from "../../src/cli/settings-values.ts";

const FLAGS: readonly Flag[] = [
  { key: "tcpPorts", syntax: "--tcp-ports <from-to>", kind: "text", help: "" },
  { key: "drain", syntax: "--drain <time>", kind: "duration", help: "" },
  { key: "noAuth", syntax: "--no-auth", kind: "switch", help: "" },
  { key: "trustProxy", syntax: "--trust-proxy <cidr>", kind: "list", help: "" },
  { key: "config", syntax: "--config <file>", kind: "text", help: "", isPerRun: true },
  { key: "all", syntax: "--all", kind: "switch", help: "", isPerRun: true, isAction: true },
];

interface Places {
  flags?: Record<string, unknown>;
  env?: Record<string, string>;
  project?: Record<string, unknown>;
  user?: Record<string, unknown>;
}

function valuesOf({ flags = {}, env = {}, project = {}, user = {} }: Places): SettingsValues {
  const files = [
    { path: "duplexity.json", values: new Map(Object.entries(project)), isFound: true },
    { path: "config.json", values: new Map(Object.entries(user)), isFound: false },
  ];
  return new SettingsValues(FLAGS, { flags: new Map(Object.entries(flags)), env, files });
}

describe("SettingsValues", () => {
  it("takes flag before environment before project file before user settings", () => {
    const user = { tcpPorts: "user" };
    const project = { tcpPorts: "project" };
    const env = { DUPLEXITY_TCP_PORTS: "env" };
    expect(valuesOf({}).text("tcpPorts")).toBeUndefined();
    expect(valuesOf({ user }).text("tcpPorts")).toBe("user");
    expect(valuesOf({ user, project }).text("tcpPorts")).toBe("project");
    expect(valuesOf({ user, project, env }).text("tcpPorts")).toBe("env");
    expect(valuesOf({ user, project, env, flags: { tcpPorts: "flag" } }).text("tcpPorts")).toBe("flag");
  });

  it("takes an empty environment variable for unset", () => {
    expect(valuesOf({ env: { DUPLEXITY_TCP_PORTS: "" }, user: { tcpPorts: "user" } }).text("tcpPorts")).toBe("user");
  });

  it("names the place and what would be right when a value is wrong", () => {
    const wrong = { code: "DPX_USAGE" };
    expect(() => valuesOf({ flags: { drain: "soon" } }).duration("drain")).toThrow(
      expect.objectContaining({
        ...wrong,
        message: 'Cannot use --drain "soon": it is not understood; wanted a time such as 500ms, 30s, 5m, 2h or 1d',
      }),
    );
    expect(() => valuesOf({ env: { DUPLEXITY_DRAIN: "soon" } }).duration("drain")).toThrow(
      /Cannot use DUPLEXITY_DRAIN /,
    );
    expect(() => valuesOf({ project: { drain: true } }).duration("drain")).toThrow(
      /Cannot use "drain" in duplexity.json true: it is not a text/,
    );
  });

  it("reads switches as words from the environment and refuses others", () => {
    const isOn = (DUPLEXITY_NO_AUTH: string) => valuesOf({ env: { DUPLEXITY_NO_AUTH } }).isOn("noAuth");
    expect(["1", "true", "YES", "on"].map(isOn)).toEqual([true, true, true, true]);
    expect(["0", "false", "No", "off", ""].map(isOn)).toEqual([false, false, false, false, false]);
    // A misspelt "no" must not open the door.
    expect(() => isOn("nope")).toThrow(/neither yes nor no/);
  });

  it("splits lists from the environment, and takes arrays from files", () => {
    expect(valuesOf({ env: { DUPLEXITY_TRUST_PROXY: "10.0.0.0/8, ::1/128" } }).list("trustProxy")).toEqual([
      "10.0.0.0/8",
      "::1/128",
    ]);
    expect(valuesOf({ project: { trustProxy: ["10.0.0.0/8"] } }).list("trustProxy")).toEqual(["10.0.0.0/8"]);
    expect(() => valuesOf({ project: { trustProxy: [{}] } }).list("trustProxy")).toThrow(/not a text/);
  });

  it("takes what belongs to one run from no file, and an action from the flag only", () => {
    expect(valuesOf({ project: { config: "x" }, env: { DUPLEXITY_ALL: "1" } }).text("config")).toBeUndefined();
    expect(valuesOf({ env: { DUPLEXITY_ALL: "1" } }).isOn("all")).toBe(false);
    expect(valuesOf({ flags: { all: true } }).isOn("all")).toBe(true);
  });

  it("tells a value that only a found file says from one that this person said as well", () => {
    const project = { tcpPorts: "theirs" };
    const stranger = (places: Places) => valuesOf(places).strangerOf("tcpPorts");
    expect(stranger({ project })).toBe("duplexity.json");
    expect(stranger({ project, user: { tcpPorts: "mine" } })).toBe("duplexity.json");
    expect(stranger({ project, user: { tcpPorts: "theirs" } })).toBeNull();
    expect(stranger({ project, env: { DUPLEXITY_TCP_PORTS: "mine" } })).toBeNull();
    expect(stranger({ project, flags: { tcpPorts: "mine" } })).toBeNull();
    expect(stranger({ user: { tcpPorts: "mine" } })).toBeNull();
    expect(stranger({})).toBeNull();
  });
});
