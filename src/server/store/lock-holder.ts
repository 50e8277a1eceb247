// Who holds a folder's lock, as the lock file says it, and whether that process still lives. A pid alone does not say:
// the next process may have got it. So it goes with the time at which its process was started, where /proc tells that.

import { readFile } from "node:fs/promises";

export interface LockHolder {
  readonly pid: number;
  /** Which boot of the machine, and the process's start in it; null where there is no /proc. */
  readonly started: string | null;
  /** Sixteen hex digits: no two locks are the same. */
  readonly nonce: string;
}

/** Locks that this process holds: of those with its pid, the others were left by a process before it. */
const own = new Set<string>();

export async function newHolder(nonce: string): Promise<LockHolder> {
  return { pid: process.pid, started: await startOf(process.pid), nonce };
}

export function rememberOwn(nonce: string): void {
  own.add(nonce);
}

export function forgetOwn(nonce: string): void {
  own.delete(nonce);
}

export async function isAlive(holder: LockHolder): Promise<boolean> {
  if (holder.pid === process.pid) return own.has(holder.nonce);
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
  }
  const started = await startOf(holder.pid);
  return holder.started === null || started === null || holder.started === started;
}

/** Null if `text` is no lock's. */
export function parseHolder(text: string): LockHolder | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  if (!("pid" in value) || !("started" in value) || !("nonce" in value)) return null;
  const { pid, started, nonce } = value;
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0) return null;
  if (started !== null && typeof started !== "string") return null;
  if (typeof nonce !== "string" || !/^[0-9a-f]{16}$/.test(nonce)) return null;
  return { pid, started, nonce };
}

async function startOf(pid: number): Promise<string | null> {
  try {
    const boot = await readFile("/proc/sys/kernel/random/boot_id", "latin1");
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    // proc_pid_stat(5): the second field is the command in parentheses, which may itself hold any; starttime is the 22nd.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return ticks === undefined ? null : `${boot.trim()}:${ticks}`;
  } catch {
    return null;
  }
}
