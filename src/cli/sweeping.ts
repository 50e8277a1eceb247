// How V8 frees memory in the processes that move bytes. Only the command sets it: a program that embeds us has flags of its own.

import { setFlagsFromString } from "node:v8";

/**
 * Lets dead read buffers be freed by the thread that reads. Under a bulk transfer V8's helper threads did little but
 * hand each other freed memory: with them a server took 0.95 CPU s a GiB, without 0.52 (Node 20 and 22; 24 sweeps
 * otherwise and does not change). See docs/performance.md.
 */
export function sweepOnThisThread(): void {
  setFlagsFromString("--no-concurrent-sweeping");
}
