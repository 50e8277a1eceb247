import { describe, expect, it } from "vitest";
import { lookOf } from "../../src/cli/output/style.ts";
import { layOut } from "../../src/cli/output/table.ts";
import { createRecorder } from "./support/recorder.ts";

const { palette } = lookOf(createRecorder(), { env: { NO_COLOR: "1" }, noColor: false });
const TABLE = {
  head: ["URL", "TARGET", "REQS"],
  rows: [
    ["http://a", "localhost:9090", "4"],
    ["http://bb\u001b[2J", "", "12345"],
  ],
  rightAligned: [2],
};

describe("layOut", () => {
  it("aligns columns, and shows controls as text", () => {
    expect(layOut(TABLE, 80, palette)).toEqual([
      "URL               TARGET           REQS",
      "http://a          localhost:9090      4",
      "http://bb\\x1b[2J                  12345",
    ]);
  });

  it("puts a row on lines of its own when the columns do not fit", () => {
    expect(layOut(TABLE, 30, palette)).toEqual([
      "http://a",
      "  target localhost:9090 ·",
      "  reqs 4",
      "http://bb\\x1b[2J",
      "  reqs 12345",
    ]);
  });
});
