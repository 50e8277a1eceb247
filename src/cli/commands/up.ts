// `duplexity up`: opens pipes and stays, in front or in the background. Puts
// plan, view, keyboard and run together; each of them is a file of its own.

import { forward } from "../../client/index.ts";
import { asDuplexityError } from "../../protocol/errors.ts";
import { tuneCollector } from "../collector.ts";
import type { CommandContext } from "../context.ts";
import { explain } from "../dial.ts";
import { type Interrupts, watchInterrupts } from "../interrupts.ts";
import { canWatchKeyboard, watchKeyboard } from "../keyboard.ts";
import { createPlainView } from "../output/up-plain.ts";
import { createUpView, type UpView } from "../output/up-view.ts";
import { ensureRuntimeDirectory } from "../runtime/directory.ts";
import { openLogFile } from "../runtime/log-file.ts";
import type { DetachedNews } from "../runtime/messages.ts";
import { DETACHED_LOG_VARIABLE, startDetached } from "../up-detached.ts";
import { explainRefusal, planUp, type UpPlan } from "../up-plan.ts";
import { runUp, type UpRunOptions } from "../up-run.ts";

export async function run(context: CommandContext): Promise<number> {
  const startedAt = Date.now();
  tuneCollector();
  const logPath = context.env[DETACHED_LOG_VARIABLE];
  if (logPath !== undefined) return runInBackground(context, logPath, startedAt);
  const plan = await planUp(context);
  const directory = ensureRuntimeDirectory(context.env);
  const { stdout, stderr, env, version } = context;
  const { isJson, noColor, logsRequests } = plan;
  const hasKeyboard = canWatchKeyboard(context.stdin) && !isJson;
  const view = await createUpView({ stdout, stderr, env, version, isJson, noColor, logsRequests, hasKeyboard });
  if (plan.isDetached) return detach(context, directory, view);

  const interrupts = watchInterrupts();
  // A program that reads the events and is gone will not stop this process either.
  if (isJson) stdout.once("error", () => interrupts.interrupt());
  const wantsReports = logsRequests || (stdout.isTTY === true && !isJson);
  return runUp({
    ...runOptionsOf(plan, { view, interrupts, directory, startedAt, wantsReports }),
    watchKeys: (onKey) => (hasKeyboard ? watchKeyboard(context.stdin, onKey) : () => {}),
  });
}

/** The parent of `up -d`. */
async function detach(context: CommandContext, directory: string, view: UpView): Promise<number> {
  const started = await startDetached(context.env, directory);
  if (typeof started === "number") return started;
  const { pid, logPath } = started;
  view.ready({ ...started, background: { pid, logPath } });
  view.end();
  return 0;
}

/** The child of `up -d`: no terminal, a log, and one message to the parent. */
async function runInBackground(context: CommandContext, logPath: string, startedAt: number): Promise<number> {
  const log = openLogFile(logPath);
  try {
    const plan = await planUp(context);
    const view = createPlainView({ stdout: nowhere, stderr: log, logsRequests: plan.logsRequests });
    const directory = ensureRuntimeDirectory(context.env);
    const wantsReports = plan.logsRequests;
    const options = runOptionsOf(plan, { view, interrupts: watchInterrupts(), directory, startedAt, wantsReports });
    return await runUp({
      ...options,
      onReady({ clientId, pipes }, elapsedMs) {
        const plain = pipes.map(({ name, hostname, protocol, url, target }) => ({
          name,
          hostname,
          protocol,
          url,
          target,
        }));
        tellParent({ type: "ready", clientId, server: plan.access.server, elapsedMs, pipes: plain });
      },
    });
  } catch (error) {
    const { code, message, hint } = asDuplexityError(error);
    tellParent({ type: "failed", code, message, ...(hint === undefined ? {} : { hint }) });
    throw error;
  } finally {
    log.close();
  }
}

const nowhere = { write: () => {} };

function tellParent(news: DetachedNews): void {
  if (process.connected) process.send?.(news);
}

function runOptionsOf(
  plan: UpPlan,
  rest: { view: UpView; interrupts: Interrupts; directory: string; startedAt: number; wantsReports: boolean },
): UpRunOptions {
  const { server, token, key } = plan.access;
  const { wantsReports, ...others } = rest;
  return {
    ...others,
    server,
    explain: (error) => explain(error, plan.access),
    async forward(signal) {
      const { pipes, links } = plan;
      const more = { reports: wantsReports, signal, ...(links === undefined ? {} : { links }) };
      const identity = { ...(token === undefined ? {} : { token }), ...(key === undefined ? {} : { key }) };
      try {
        return await forward({ server, pipes, ...identity, ...more });
      } catch (error) {
        throw explainRefusal(explain(asDuplexityError(error), plan.access), pipes);
      }
    },
  };
}
