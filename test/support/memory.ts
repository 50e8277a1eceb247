// What a process holds, as the kernel counts it. Works on a process that knows nothing of being watched.

import { readFile } from "node:fs/promises";

/** Resident memory of `pid` in MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error(`No VmRSS for process ${pid}`);
  return Number(kib) / 1024;
}

/** Command line of `pid`, as `ps` shows it to everyone. */
export async function argvOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
}
