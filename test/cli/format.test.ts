import { describe, expect, it } from "vitest";
import {
  cut,
  describeFailure,
  escapeControls,
  formatBytes,
  formatDuration,
  formatMoment,
} from "../../src/cli/output/format.ts";

describe("escapeControls", () => {
  it("writes escape sequences, newlines and C1 controls as text", () => {
    expect(escapeControls("/\u001b[2J\r\n\u0007\u007f\u009b")).toBe("/\\x1b[2J\\x0d\\x0a\\x07\\x7f\\x9b");
  });

  it("shows what would hide or turn text round", () => {
    expect(escapeControls("a\u202eb\u200bc\u2028d\ufeff")).toBe("a\\u{202e}b\\u{200b}c\\u{2028}d\\u{feff}");
    expect(escapeControls("\ud800")).toBe("\\u{d800}");
  });

  it("leaves letters of every script and spaces alone", () => {
    expect(escapeControls("/größe 東京 🐈")).toBe("/größe 東京 🐈");
  });
});

describe("formatBytes", () => {
  it("keeps two significant digits and never says 1000", () => {
    expect([0, 812, 999.4, 999.6, 1_234, 9_960, 34_000_000, 999_600].map(formatBytes)).toEqual([
      "0 B",
      "812 B",
      "999 B",
      "1.0 kB",
      "1.2 kB",
      "10 kB",
      "34 MB",
      "1.0 MB",
    ]);
  });
});

describe("formatDuration", () => {
  it("goes from milliseconds to days without a sixtieth second", () => {
    expect([0, 38, 999.6, 1_300, 9_960, 59_400, 59_600, 245_000, 7_380_000, 435_600_000].map(formatDuration)).toEqual([
      "0 ms",
      "38 ms",
      "1.0 s",
      "1.3 s",
      "10 s",
      "59 s",
      "1 min 0 s",
      "4 min 5 s",
      "2 h 3 min",
      "5 d 1 h",
    ]);
  });
});

describe("formatMoment", () => {
  it("leaves the day out when it is today", () => {
    const now = new Date(2026, 10, 23, 12, 0);
    expect(formatMoment(new Date(2026, 10, 23, 9, 5), now)).toBe("09:05");
    expect(formatMoment(new Date(2026, 10, 22, 9, 5), now)).toBe("2026-11-22 09:05");
  });
});

describe("cut", () => {
  it("marks that something is missing", () => {
    expect(cut("/a/long/path", 7)).toBe("/a/lon…");
    expect(cut("/a", 2)).toBe("/a");
  });
});

describe("describeFailure", () => {
  it("names the target, and falls back to the table's meaning", () => {
    expect(describeFailure("DPX_TARGET_REFUSED", "http://localhost:9090")).toBe(
      "nothing listens on http://localhost:9090 (the tunnel stays up)",
    );
    expect(describeFailure("DPX_HOLD_LIMIT", null)).toBe("too many requests are waiting for a client to come back");
  });
});
