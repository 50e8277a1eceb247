import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createUpView, type UpViewOptions } from "../../src/cli/output/up-view.ts";
import type { UpPipe } from "../../src/cli/runtime/messages.ts";
import { DuplexityError } from "../../src/protocol/errors.ts";
import type { RequestReport } from "../../src/protocol/stream.ts";
import { createRecorder, type Recorder } from "./support/recorder.ts";

const NOON = new Date(2026, 10, 23, 12, 4, 11).getTime();
const CAT1 = pipe("cat1", "http://localhost:9090");
const NO_PORTS = new DuplexityError("DPX_TCP_PORTS", "There are no TCP ports");
const REQUEST: RequestReport = {
  ...{ hostname: "cat1.localhost", method: "POST", path: "/hooks/stripe", status: 200, durationMs: 38 },
  ...{ responseBytes: 1_234, requestBytes: 0, visitor: "127.0.0.1:5" },
};

function pipe(name: string, target: string): UpPipe {
  return { name, hostname: `${name}.localhost`, protocol: "http", url: `http://${name}.localhost:8080`, target };
}

let stdout: Recorder;
let stderr: Recorder;
beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
});
afterEach(() => {
  vi.useRealTimers();
});

async function viewOn(terminalColumns: number | undefined, more: Partial<UpViewOptions> = {}) {
  stdout = createRecorder(terminalColumns);
  stderr = createRecorder();
  const env = { TERM: "dumb" };
  const options = { stdout, stderr, env, version: "0.1.0", isJson: false, noColor: true, logsRequests: true };
  return createUpView({ ...options, hasKeyboard: true, now: () => Date.now(), ...more });
}

function ready(...pipes: UpPipe[]) {
  return { clientId: "c1", server: "http://localhost:8080", elapsedMs: 84, pipes };
}

describe("createUpView without a terminal", () => {
  it("prints the bare URLs on stdout in the order given, and all else on stderr", async () => {
    const view = await viewOn(undefined);
    view.connecting("http://localhost:8080");
    view.ready(ready(pipe("b", "http://localhost:1"), pipe("a", "http://localhost:2")));
    view.request(REQUEST);
    view.pipe(pipe("a", "http://localhost:2"), NO_PORTS);
    view.pipe(pipe("a", "http://localhost:2"), null);
    view.draining(0);
    view.closed(["b", "a"], null, "interrupted");
    view.end();
    expect(stdout.text()).toBe("http://b.localhost:8080\nhttp://a.localhost:8080\n");
    expect(stderr.text().split("\n")).toEqual([
      "2026-11-23 12:04:11 connecting to http://localhost:8080",
      "2026-11-23 12:04:11 connected to http://localhost:8080 in 84 ms",
      "2026-11-23 12:04:11 http://b.localhost:8080 → http://localhost:1",
      "2026-11-23 12:04:11 http://a.localhost:8080 → http://localhost:2",
      "2026-11-23 12:04:11 cat1.localhost POST /hooks/stripe 200 38 ms 1.2 kB",
      "2026-11-23 12:04:11 a is refused (DPX_TCP_PORTS): There are no TCP ports; trying again, the others are up",
      "2026-11-23 12:04:11 a is registered again: http://a.localhost:8080",
      "2026-11-23 12:04:11 draining, 0 open",
      "2026-11-23 12:04:11 closed b, a: interrupted",
      "",
    ]);
  });

  it("logs a failure of the target even when requests are not logged", async () => {
    const view = await viewOn(undefined, { logsRequests: false });
    view.ready(ready(CAT1));
    view.request(REQUEST);
    view.request({ ...REQUEST, status: 502, errorCode: "DPX_TARGET_REFUSED" });
    expect(stderr.text()).not.toContain(" 200 ");
    expect(stderr.text()).toContain("DPX_TARGET_REFUSED: nothing listens on http://localhost:9090");
  });

  it("tells of attempts ever more rarely", async () => {
    const view = await viewOn(undefined);
    for (let attempt = 1; attempt <= 20; attempt++) view.reconnecting(attempt, 500, "DPX_LINK_LOST");
    expect(stderr.text().match(/retry \d+/g)).toEqual(["retry 1", "retry 2", "retry 4", "retry 8", "retry 16"]);
  });
});

describe("createUpView with --json", () => {
  it("writes the contract's lines and nothing else", async () => {
    const view = await viewOn(80, { isJson: true });
    view.connecting("http://localhost:8080");
    view.ready(ready(CAT1));
    view.reconnecting(1, 512, "DPX_LINK_LOST");
    view.resumed(2_100);
    view.pipe(CAT1, NO_PORTS);
    view.pipe(CAT1, null);
    view.request(REQUEST);
    view.draining(0);
    view.closed(["cat1"], null, "interrupted");
    view.end();
    const { name, hostname, url, target } = CAT1;
    expect(
      stdout
        .text()
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { v: 1, type: "ready", clientId: "c1", pipes: [{ name, hostname, url, target }] },
      { v: 1, type: "reconnecting", attempt: 1, delayMs: 512, code: "DPX_LINK_LOST" },
      { v: 1, type: "resumed", outageMs: 2_100 },
      { v: 1, type: "pipeRefused", name, code: "DPX_TCP_PORTS", message: "There are no TCP ports" },
      { v: 1, type: "pipeRegistered", name, url },
      { v: 1, type: "request", ...REQUEST },
      { v: 1, type: "closed", code: null, reason: "interrupted" },
    ]);
    expect(stderr.text()).toBe("");
  });

  it("writes requests with --log-requests only", async () => {
    const view = await viewOn(undefined, { isJson: true, logsRequests: false });
    view.request(REQUEST);
    expect(stdout.text()).toBe("");
  });
});

describe("createUpView on a terminal", () => {
  it("shows a header, aligned arrows and a line per request within 80 columns", async () => {
    const view = await viewOn(80);
    view.ready(ready(CAT1, pipe("catalogue", "tcp://localhost:5432")));
    view.request(REQUEST);
    view.request({ ...REQUEST, path: `/${"long/".repeat(40)}`, durationMs: 61_000, responseBytes: 999_000_000 });
    expect(stdout.text().split("\n")).toEqual([
      "",
      "  DUPLEXITY 0.1  connected to localhost:8080 in 84 ms",
      "",
      "  ➜  Public   http://cat1.localhost:8080       → http://localhost:9090",
      "  ➜  Public   http://catalogue.localhost:8080  → tcp://localhost:5432",
      "  ➜  press h + enter for help",
      "",
      "  12:04:11  cat1       POST    /hooks/stripe             200      38 ms   1.2 kB",
      "  12:04:11  cat1       POST    /long/long/long/long/lo…  200  1 min 1 s   999 MB",
      "",
    ]);
    for (const line of stdout.text().split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });

  it("explains a failing target once, not under each of its requests", async () => {
    const view = await viewOn(80);
    view.ready(ready(CAT1));
    const failed: RequestReport = { ...REQUEST, status: 502, errorCode: "DPX_TARGET_REFUSED" };
    for (const report of [failed, failed, REQUEST, failed]) view.request(report);
    expect(stdout.text().match(/DPX_TARGET_REFUSED: nothing listens on http:\/\/localhost:9090/g)).toHaveLength(2);
  });

  it("shows what a visitor sends as text, never as commands to the terminal", async () => {
    const view = await viewOn(80);
    view.ready(ready(CAT1));
    view.request({ ...REQUEST, method: "\u001b[2J", path: "/\u001b]0;owned\u0007\r\n\u009b31m" });
    expect(stdout.text()).toContain("/\\x1b]0;owned\\x07\\x0d\\x0a\\x9b31m");
    expect([...stdout.text()].filter((character) => character < " " && character !== "\n")).toEqual([]);
  });

  it("counts what a flood has too much of", async () => {
    const view = await viewOn(80);
    view.ready(ready(CAT1));
    for (let index = 0; index < 100; index++) view.request(REQUEST);
    expect(stdout.text().match(/\/hooks\/stripe/g)).toHaveLength(40);
    vi.advanceTimersByTime(1_000);
    expect(stdout.text()).toContain("… 60 more requests");
    view.request(REQUEST);
    expect(stdout.text().match(/\/hooks\/stripe/g)).toHaveLength(41);
  });

  it("tells of an outage in two lines where the cursor cannot move", async () => {
    const view = await viewOn(80);
    view.ready(ready(CAT1));
    const before = stdout.text().length;
    for (let attempt = 1; attempt <= 5; attempt++) view.reconnecting(attempt, 500, "DPX_LINK_LOST");
    view.resumed(2_100);
    expect(stdout.text().slice(before)).toBe(
      "  12:04:11  ↻ connection lost (DPX_LINK_LOST), retrying\n  12:04:11  ✔ resumed after 2.1 s\n",
    );
  });

  it("tells which pipe is refused and that it is registered again", async () => {
    const view = await viewOn(80);
    const before = stdout.text().length;
    view.pipe(CAT1, NO_PORTS);
    view.pipe(CAT1, null);
    expect(stdout.text().slice(before)).toBe(
      `  12:04:11  ✖ cat1 is refused, trying again: There are no TCP ports DPX_TCP_PORTS\n  12:04:11  ✔ cat1 is registered again: ${CAT1.url}\n`,
    );
  });

  it("says how many requests it waits for, and nothing of none", async () => {
    const view = await viewOn(80);
    view.draining(0);
    expect(stdout.text()).toBe("");
    view.draining(1);
    expect(stdout.text()).toBe("\n  Draining 1 request… (Ctrl-C again to stop now)\n");
  });

  it("tells of no keys where nobody can type, and how to stop what runs in the background", async () => {
    const view = await viewOn(80, { hasKeyboard: false });
    view.ready({ ...ready(CAT1), background: { pid: 42, logPath: "/run/up.log" } });
    expect(stdout.text()).toContain("  ➜  Stop     duplexity down cat1\n");
    expect(stdout.text()).not.toContain("help");
  });
});
