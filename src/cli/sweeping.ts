// How V8 frees memory in the processes that move bytes. Only the command sets it: a program that embeds us has flags of its own.

import { setFlagsFromString } from "node:v8";

/** Node whose V8 knows the second flag: an unknown one would be complained of on stderr. */
const NODE_WITH_GLOBAL_LIMIT = "24";

/**
 * Lets dead read buffers be freed by the thread that reads, and on Node 24 not at each few of them. Under a bulk transfer
 * V8's helper threads did little but hand each other freed memory: with them a server took 0.95 CPU s a GiB, without
 * 0.52 (Node 20). See docs/performance.md.
 */
export function sweepOnThisThread(): void {
  setFlagsFromString("--no-concurrent-sweeping");
  const [major] = process.versions.node.split(".");
  if (major === NODE_WITH_GLOBAL_LIMIT) setFlagsFromString("--external-memory-accounted-in-global-limit");
}
