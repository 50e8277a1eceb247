// Values as people read them: bytes, times, and text from strangers made safe
// for a terminal. Pure; knows no stream and no colour.

import { ERRORS, type ErrorCode } from "../../protocol/errors.ts";

/**
 * `text` with everything that a terminal could obey or that hides (controls, escape sequences, bidirectional marks,
 * lone surrogates, line separators) written as `\x1b` or `\u{202e}`. What visitors send must pass here.
 */
export function escapeControls(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const point = character.codePointAt(0) ?? 0;
    return point < 0x100 ? `\\x${point.toString(16).padStart(2, "0")}` : `\\u{${point.toString(16)}}`;
  });
}

/** At most `width` characters, the last one `…` when something is missing. */
export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** `text` in indented lines of at most `columns`, broken between words; a longer word stands alone. */
export function wrap(text: string, columns: number, indent: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => " ".repeat(indent) + each).join("\n");
}

/** `812 B`, `1.2 kB`, `34 MB`: powers of 1000, two significant digits. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  // 999.5 and up would be rounded to 1000.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `38 ms`, `1.3 s`, `30 s`, `4 min 5 s`, `2 h 3 min`, `5 d 1 h`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 9_950) return `${(milliseconds / 1_000).toFixed(1)} s`;
  if (milliseconds < 59_500) return `${Math.round(milliseconds / 1_000)} s`;
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `1.2 ms`, `38 ms`: on a near link the fraction is what one wants to see. */
export function formatRoundTrip(milliseconds: number): string {
  return milliseconds < 9.95 ? `${milliseconds.toFixed(1)} ms` : formatDuration(milliseconds);
}

/** `12:04:11`, in the local time zone. */
export function formatClock(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** `2026-11-23 12:04:11`, in the local time zone: for lines that are read another day. */
export function formatStamp(date: Date): string {
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  return `${day.map((part) => String(part).padStart(2, "0")).join("-")} ${formatClock(date)}`;
}

/** `11:02` today, else `2026-11-23 11:02`, in the local time zone. */
export function formatMoment(date: Date, now: Date): string {
  const stamp = formatStamp(date).slice(0, 16);
  return date.toDateString() === now.toDateString() ? stamp.slice(11) : stamp;
}

/** `1 request`, `2 requests`. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** What went wrong with a request, in a few words for the owner of the target. */
export function describeFailure(code: ErrorCode, target: string | null): string {
  const place = target ?? "the target";
  switch (code) {
    case "DPX_TARGET_REFUSED":
      return `nothing listens on ${place} (the tunnel stays up)`;
    case "DPX_TARGET_UNREACHABLE":
      return `cannot reach ${place}`;
    case "DPX_TARGET_TIMEOUT":
      return `${place} does not accept the connection`;
    case "DPX_TARGET_TLS":
      return `no TLS with ${place}; a self-signed certificate needs https+insecure://`;
    case "DPX_TARGET_BROKE":
      return `${place} broke off its answer`;
    case "DPX_TARGET_ANSWER":
      return `${place} does not answer in valid HTTP`;
    case "DPX_VISITOR_GONE":
      return "the visitor left before the answer was complete";
    default: {
      const { meaning } = ERRORS[code];
      return `${meaning.charAt(0).toLowerCase()}${meaning.slice(1).replace(/\.$/, "")}`;
    }
  }
}
