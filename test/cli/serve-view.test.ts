import { describe, expect, it } from "vitest";
import type { LogFormat } from "../../src/cli/output/serve-log.ts";
import { createServeView, type Listening } from "../../src/cli/output/serve-view.ts";
import { createRecorder } from "./support/recorder.ts";

const FACTS: Listening = {
  publicUrl: "http://127.0.0.1:8080",
  internalUrl: "http://127.0.0.1:7071",
  domain: "localhost",
  nodeId: "n1",
  identity: "no-auth",
};

function viewOn(columns: number | undefined, more: { isJson?: boolean; logFormat?: LogFormat } = {}) {
  const stdout = createRecorder(columns);
  const stderr = createRecorder();
  const { isJson = false, logFormat = "pretty" } = more;
  const logged: string[] = [];
  const view = createServeView({
    stdout,
    stderr,
    env: { NO_COLOR: "1" },
    noColor: false,
    version: "0.1.0",
    isJson,
    logFormat,
    log: (level, message) => void logged.push(`${level} ${message}`),
  });
  return { view, stdout, stderr, logged };
}

describe("createServeView", () => {
  it("shows a banner with what to type next", () => {
    const { view, stdout } = viewOn(80);
    view.listening(FACTS);
    expect(stdout.text().split("\n")).toEqual([
      "",
      "  DUPLEXITY 0.1  serving localhost",
      "",
      "  ➜  Public    http://127.0.0.1:8080  pipes: http://NAME.localhost:8080",
      "  ➜  Internal  http://127.0.0.1:7071",
      "  ➜  Identity  each client's own key (--no-auth: this machine only)",
      "  ➜  Next      duplexity up --pipe cat1:9090",
      "",
      "",
    ]);
  });

  it("names the server in the next command where they are needed", () => {
    const { view, stdout } = viewOn(80);
    view.listening({
      ...FACTS,
      publicUrl: "https://tunnel.example.com",
      domain: "tunnel.example.com",
      identity: "accounts",
    });
    expect(stdout.text()).toContain("duplexity login https://tunnel.example.com, then duplexity up --pipe cat1:9090\n");
    expect(stdout.text()).toContain("pipes: https://NAME.tunnel.example.com\n");
  });

  it("keeps stdout for the URL when it is no terminal", () => {
    const { view, stdout, stderr } = viewOn(undefined);
    view.listening(FACTS);
    view.draining(30_000);
    view.stopped();
    expect(stdout.text()).toBe("http://127.0.0.1:8080\n");
    expect(stderr.text()).toContain("Draining, at most 30 s…");
    expect(stderr.text()).toContain("✔ stopped");
  });

  it("writes the contract's lines with --json", () => {
    const { view, stdout, stderr } = viewOn(80, { isJson: true });
    view.listening(FACTS);
    view.draining(30_000);
    view.stopped();
    expect(
      stdout
        .text()
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      {
        ...{ v: 1, type: "listening", public: "http://127.0.0.1:8080", internal: "http://127.0.0.1:7071" },
        ...{ domain: "localhost", nodeId: "n1" },
      },
      { v: 1, type: "draining", deadlineMs: 30_000 },
      { v: 1, type: "stopped" },
    ]);
    expect(stderr.text()).toBe("");
  });

  it("shows the claim's link on a terminal, and leaves it nowhere else then", () => {
    const { view, stdout } = viewOn(80);
    view.claim({ url: "http://localhost/secret", expiresAt: 0 }, () => {
      throw new Error("It was left");
    });
    expect(stdout.text()).toContain("http://localhost/secret\n");
  });

  it("puts no words beside a log of JSON lines", () => {
    const { view, stdout, stderr, logged } = viewOn(undefined, { logFormat: "json" });
    view.listening(FACTS);
    view.claim({ url: "http://localhost/secret", expiresAt: 0 }, () => "/data/claim-link");
    view.draining(30_000);
    view.stopped();
    expect(stdout.text()).toBe("http://127.0.0.1:8080\n");
    expect(stderr.text()).toBe("");
    expect(logged).toEqual([
      "info Serving localhost at http://127.0.0.1:8080, internal http://127.0.0.1:7071",
      expect.stringMatching(/^warn There is no admin yet\. The link to become it, until .*, is in \/data\/claim-link$/),
      "info Draining, at most 30 s…",
      "info Stopped",
    ]);
  });
});
