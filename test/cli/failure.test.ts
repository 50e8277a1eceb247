import { describe, expect, it } from "vitest";
import { showFailure } from "../../src/cli/failure.ts";
import { explainRefusal } from "../../src/cli/up-plan.ts";
import { DuplexityError, ERRORS, type ErrorCode } from "../../src/protocol/errors.ts";
import { createRecorder } from "./support/recorder.ts";

function show(error: unknown, options: { columns?: number; argv?: readonly string[]; env?: NodeJS.ProcessEnv } = {}) {
  const stdout = createRecorder();
  const stderr = createRecorder(options.columns);
  const { argv = [], env = { NO_COLOR: "1" } } = options;
  const status = showFailure(error, { argv, env, stdout, stderr });
  return { status, stdout: stdout.text(), stderr: stderr.text() };
}

describe("showFailure", () => {
  it("answers the exit status of each code's table entry", () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      expect(show(new DuplexityError(code, "x")).status).toBe(ERRORS[code].exitStatus);
    }
  });

  it("shows message, code and what to try", () => {
    const hint = "duplexity up --pipe cat2:localhost:9090";
    const error = new DuplexityError("DPX_NAME_TAKEN", 'Cannot register "cat1": ben@ci holds it since 11:02', { hint });
    expect(show(error, { columns: 80 })).toEqual({
      status: 5,
      stdout: "",
      stderr:
        '✖ Cannot register "cat1": ben@ci holds it since 11:02      DPX_NAME_TAKEN\n' +
        "  Try   duplexity up --pipe cat2:localhost:9090\n",
    });
  });

  it("breaks long sentences between words on a narrow terminal, and no command", () => {
    const hint = "a hint that is a good deal longer than forty columns";
    const { stderr } = show(new DuplexityError("DPX_USAGE", "a message that does not fit on one line", { hint }), {
      columns: 40,
    });
    expect(stderr).toBe(
      "✖ a message that does not fit on one\n  line\n  DPX_USAGE\n" +
        "  Hint  a hint that is a good deal\n        longer than forty columns\n",
    );
  });

  it("shows what a server says as text, never as commands to the terminal", () => {
    expect(show(new DuplexityError("DPX_USAGE", "\u001b[2J", { hint: "\u009b1m" })).stderr).toBe(
      "✖ \\x1b[2J      DPX_USAGE\n  Hint  \\x9b1m\n",
    );
  });

  it("writes a JSON line on stdout with --json or DUPLEXITY_JSON, but not for --json after --", () => {
    const error = new DuplexityError("DPX_KICKED", "gone");
    const line =
      '{"v":1,"type":"error","code":"DPX_KICKED","message":"gone","hint":null,"docs":"docs/errors.md#dpx_kicked"}\n';
    expect(show(error, { argv: ["up", "--json"] })).toEqual({ status: 6, stdout: line, stderr: "" });
    expect(show(error, { env: { DUPLEXITY_JSON: "1" } }).stdout).toBe(line);
    expect(show(error, { argv: ["up", "--", "--json"] }).stdout).toBe("");
  });

  it("takes what is no DuplexityError for a defect, with its stack", () => {
    const { status, stderr } = show(new TypeError("x is not a function"));
    expect(status).toBe(1);
    expect(stderr).toContain("DPX_INTERNAL");
    expect(stderr).toContain("failure.test.ts");
  });
});

describe("explainRefusal", () => {
  const taken = (name: string) => new DuplexityError("DPX_NAME_TAKEN", `Cannot register "${name}": ben holds it`);

  it("proposes the next name for the same target", () => {
    const hintFor = (name: string) => explainRefusal(taken(name), [{ name, target: "http://localhost:9090" }]).hint;
    expect(hintFor("cat1")).toBe("duplexity up --pipe cat2:localhost:9090");
    expect(hintFor("cat")).toBe("duplexity up --pipe cat-2:localhost:9090");
    expect(hintFor("cat9.example.com")).toBe("duplexity up --pipe cat10.example.com:localhost:9090");
  });

  it("leaves other errors alone", () => {
    const error = new DuplexityError("DPX_KICKED", '"cat1"');
    expect(explainRefusal(error, [{ name: "cat1", target: "http://localhost:9090" }])).toBe(error);
  });
});
