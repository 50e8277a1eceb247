// `up -d`: starts the same command again without a terminal, waits until that
// one is up or has failed, and tells which. Carries no tunnel itself.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { DuplexityError, isErrorCode } from "../protocol/errors.ts";
import { aborted, EXIT_INTERRUPTED, watchInterrupts } from "./interrupts.ts";
import { FILE_MODE, unwritable } from "./private-files.ts";
import { newLogPath } from "./runtime/log-file.ts";
import { type DetachedNews, type DetachedReady, readDetachedNews } from "./runtime/messages.ts";

/** Set for the child: where its log is. It also keeps it from detaching once more. */
export const DETACHED_LOG_VARIABLE = "DUPLEXITY_DETACHED_LOG";
/** The child's own waits are shorter; this one is for a child that hangs. */
const START_LIMIT_MS = 60_000;

export interface DetachedUp extends DetachedReady {
  readonly pid: number;
  readonly logPath: string;
}

/**
 * Starts the child and waits for its news. Answers 130 if somebody interrupts the wait; the child is ended then.
 *
 * @throws {DuplexityError} What the child failed with.
 */
export async function startDetached(env: NodeJS.ProcessEnv, directory: string): Promise<DetachedUp | number> {
  const logPath = newLogPath(directory);
  const log = openLog(logPath);
  const interrupts = watchInterrupts();
  // The same words again: there is never a secret among them. Token and settings come by environment and files.
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    windowsHide: true,
    stdio: ["ignore", log, log, "ipc"],
    env: { ...env, [DETACHED_LOG_VARIABLE]: logPath },
  });
  closeSync(log);
  try {
    const news = await Promise.race([newsOf(child, logPath), aborted(interrupts.first)]);
    if (news === undefined) {
      child.kill("SIGTERM");
      return EXIT_INTERRUPTED;
    }
    if (news.type === "failed") throw failureOf(news);
    child.disconnect();
    child.unref();
    return { ...news, pid: child.pid ?? 0, logPath };
  } finally {
    interrupts.stop();
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, "a", FILE_MODE);
  } catch (error) {
    throw unwritable(path, error, "DUPLEXITY_RUNTIME_DIR");
  }
}

function newsOf(child: ChildProcess, logPath: string): Promise<DetachedNews> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      finish(
        new DuplexityError("DPX_INTERNAL", `The background process said nothing for ${START_LIMIT_MS} ms`, {
          hint: logPath,
        }),
      );
    }, START_LIMIT_MS);
    const onMessage = (message: unknown) => {
      const news = readDetachedNews(message);
      if (news === null) return;
      finish(null);
      resolve(news);
    };
    const onExit = (status: number | null) => {
      finish(
        new DuplexityError("DPX_INTERNAL", `The background process ended with status ${status}`, {
          hint: `Its log: ${logPath}`,
        }),
      );
    };
    const finish = (error: Error | null) => {
      clearTimeout(timer);
      child.off("message", onMessage).off("exit", onExit).off("error", finish);
      if (error !== null) reject(error);
    };
    child.on("message", onMessage).on("exit", onExit).on("error", finish);
  });
}

function failureOf(news: Extract<DetachedNews, { type: "failed" }>): DuplexityError {
  return new DuplexityError(isErrorCode(news.code) ? news.code : "DPX_INTERNAL", news.message, { hint: news.hint });
}
