// Lines typed while `up` runs: one letter and enter. Reads the terminal only
// when that is safe; knows nothing of what the letters do.

import { readFileSync } from "node:fs";

/** A longer line is thrown away: nobody types it, something was pasted. */
const MAX_LINE_CHARS = 256;

/** Whether somebody can type to this process, so that reading the terminal is safe. */
export function canWatchKeyboard(stdin: { readonly isTTY?: boolean }): boolean {
  return stdin.isTTY === true && isInForeground();
}

/** Calls `onKey` with each line's text; returns the function that stops it. */
export function watchKeyboard(stdin: NodeJS.ReadableStream, onKey: (key: string) => void): () => void {
  let line = "";
  const onData = (chunk: Buffer | string) => {
    const lines = (line + chunk.toString()).split("\n");
    line = (lines.pop() ?? "").slice(0, MAX_LINE_CHARS);
    for (const each of lines) onKey(each.trim().toLowerCase());
  };
  const onError = () => {};
  stdin.on("data", onData).on("error", onError);
  stdin.resume();
  return () => {
    stdin.off("data", onData);
    stdin.pause();
  };
}

/**
 * Whether the terminal's keyboard belongs to this process. Started with `&`, a read would stop it (SIGTTIN), tunnel
 * and all. Where the system does not tell (no /proc), it is taken for the foreground.
 */
function isInForeground(): boolean {
  try {
    // proc(5): after the name in parentheses come state, ppid, pgrp, session, tty_nr, tpgid.
    const fields = readFileSync("/proc/self/stat", "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[2] === fields[5];
  } catch {
    return true;
  }
}
