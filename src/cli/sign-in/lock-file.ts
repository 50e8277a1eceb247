// One at a time among the processes of this person: a file that says who is at it. Survives the death of whoever held
// it; knows nothing of what is guarded.

import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { DuplexityError } from "../../protocol/errors.ts";
import { codeOf, FILE_MODE, unwritable } from "../private-files.ts";

/** How often a holder shows that it lives, by the file's time. */
const BEAT_MS = 2_000;
/** A lock that shows no life for so long, of the waiting process's own time, is its holder's no more. */
const SILENCE_MS = 10_000;
/** Between two looks, the half of it at least: they are not to come all at once. */
const LOOK_MS = 60;
/** How long to wait for all others. What the holders do ends by itself long before. */
const MAX_WAIT_MS = 60_000;
/** The moment in which a dead holder's file is taken away; longer, and whoever did that died, too. */
const BREAK_LIMIT_MS = 5_000;

/**
 * Runs `work` while nobody else runs anything under the same lock.
 *
 * @param signal Gives up the wait for the others; `work` has to look at it by itself.
 * @throws What `signal` aborts with.
 * @throws {DuplexityError} `DPX_SIGN_IN_FAILED` when the others do not finish in a minute, `DPX_USAGE` when the file
 * cannot be written.
 */
export async function withLock<T>(path: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), nonce: Math.random() });
  await acquire(path, mine, signal);
  const beat = setInterval(() => touch(path, mine), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    // Somebody may have thought this process dead: then the lock is theirs.
    if (read(path) === mine) rmSync(path, { force: true });
  }
}

async function acquire(path: string, mine: string, signal: AbortSignal | undefined): Promise<void> {
  const startedAt = performance.now();
  let seen = "";
  let seenAt = startedAt;
  while (!create(path, mine)) {
    const holder = read(path);
    const sign = `${holder} ${changedAt(path)}`;
    const now = performance.now();
    if (sign !== seen) {
      seen = sign;
      seenAt = now;
    }
    if (holder !== null && (isDead(holder) || now - seenAt > SILENCE_MS)) takeAway(path, holder);
    if (now - startedAt > MAX_WAIT_MS) throw busy(path, holder);
    await delay(LOOK_MS * (0.5 + Math.random() / 2), undefined, { signal });
  }
}

function create(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: "wx", mode: FILE_MODE });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw unwritable(path, error, "DUPLEXITY_CONFIG_DIR");
  }
}

/**
 * Removes `holder`'s file, and nobody else's: two who both think it dead must not take away the lock that the faster one
 * of them has got by then. So only one may look and remove at a time.
 */
function takeAway(path: string, holder: string): void {
  const breaker = `${path}.break`;
  if (!create(breaker, String(process.pid))) {
    if (Date.now() - changedAt(breaker) > BREAK_LIMIT_MS) rmSync(breaker, { force: true });
    return;
  }
  try {
    if (read(path) === holder) rmSync(path, { force: true });
  } finally {
    rmSync(breaker, { force: true });
  }
}

/** Whether the process is known to be gone. One on another machine (a shared home) cannot be asked. */
function isDead(holder: string): boolean {
  const { pid, host } = holderOf(holder);
  if (host !== hostname() || pid === null || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // EPERM: it is there and somebody else's.
    return codeOf(error) === "ESRCH";
  }
}

function holderOf(text: string): { pid: number | null; host: string | null } {
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content !== "object" || content === null) return { pid: null, host: null };
    const pid = "pid" in content && Number.isSafeInteger(content.pid) ? Number(content.pid) : null;
    const host = "host" in content && typeof content.host === "string" ? content.host : null;
    return { pid: pid !== null && pid > 0 ? pid : null, host };
  } catch {
    // Just made and not written yet; or its maker died in between, which its silence tells.
    return { pid: null, host: null };
  }
}

function touch(path: string, mine: string): void {
  try {
    const now = new Date();
    if (read(path) === mine) utimesSync(path, now, now);
  } catch {
    // Taken away meanwhile.
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function busy(path: string, holder: string | null): DuplexityError {
  const { pid } = holderOf(holder ?? "");
  const who = pid === null ? "another duplexity" : `another duplexity (process ${pid})`;
  return new DuplexityError(
    "DPX_SIGN_IN_FAILED",
    `Cannot change the sign-ins: ${who} is at them for ${MAX_WAIT_MS / 1_000} s`,
    {
      hint: `Try again; if nothing else runs, delete ${path}`,
    },
  );
}
