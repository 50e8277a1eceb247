import { describe, expect, it } from "vitest";
import { openServeLog, type ServeLogOptions } from "../../src/cli/output/serve-log.ts";
import { createRecorder } from "./support/recorder.ts";

async function logTo(options: Pick<ServeLogOptions, "level" | "format">) {
  const stderr = createRecorder();
  const log = await openServeLog({ stderr, env: { NO_COLOR: "1" }, noColor: false, ...options });
  return { log, stderr };
}

describe("openServeLog", () => {
  it("writes words from its level up, with controls as text and the request at the end", async () => {
    const { log, stderr } = await logTo({ level: "warn", format: "pretty" });
    log("info", "quiet");
    log("error", "loud\u001b[2J", { requestId: "n1-4" });
    expect(stderr.text()).toMatch(/^ {2}\d\d:\d\d:\d\d {2}error {2}loud\\x1b\[2J {2}n1-4\n$/);
  });

  it("writes one JSON object a line from its level up, with what the line is about", async () => {
    const { log, stderr } = await logTo({ level: "info", format: "json" });
    log("debug", "quiet");
    log("warn", 'loud "\n', { requestId: "n1-4", traceId: "a".repeat(32) });
    const [line = "", ...rest] = stderr.text().split("\n");
    expect(rest).toEqual([""]);
    expect(JSON.parse(line)).toEqual({
      ...{ level: "warn", pid: process.pid, msg: 'loud "\n', requestId: "n1-4", traceId: "a".repeat(32) },
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
  });
});
