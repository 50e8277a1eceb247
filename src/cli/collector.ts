// How V8 frees memory in the processes that move bytes. Only the commands set it: a program that embeds us has flags of its own.

import { setFlagsFromString } from "node:v8";

/**
 * For a process through which bulk passes: read buffers live for a moment each, so the young generation's collector is
 * to free them, and on the thread that reads. Call it once, early. What each flag is worth is in docs/performance.md.
 */
export function tuneCollector(): void {
  // V8's helper threads would do little but hand each other freed memory.
  setFlagsFromString("--no-concurrent-sweeping");
  // V8 13 (Node 24) collects the young only after 128 MB of buffers, and everything after 64 MB: so only everything,
  // again and again (https://github.com/nodejs/node/issues/61967). As in the versions before and, upstream, after it:
  // the young after 32 MB, and buffers count towards the limit of the whole heap.
  if (v8Major() !== 13) return;
  setFlagsFromString("--scavenger-max-new-space-capacity-mb=8");
  setFlagsFromString("--external-memory-accounted-in-global-limit");
}

function v8Major(): number {
  return Number.parseInt(process.versions.v8, 10);
}
