// `up` without a terminal: the public URLs on stdout, one a line in the order
// given, and all else on stderr, one line each.

import { describeFailure, escapeControls, formatBytes, formatDuration, formatStamp } from "./format.ts";
import { createLineBudget } from "./line-budget.ts";
import type { UpView } from "./up-view.ts";

/** Request lines in one second. A log is read later, so it may hold more than a screen. */
const MAX_LINES_PER_SECOND = 1_000;

export interface PlainViewOptions {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly logsRequests: boolean;
  readonly now?: () => number;
}

export function createPlainView(options: PlainViewOptions): UpView {
  const now = options.now ?? Date.now;
  const targets = new Map<string, string>();
  const note = (text: string) => options.stderr.write(`${formatStamp(new Date(now()))} ${text}\n`);
  const budget = createLineBudget({
    linesPerSecond: MAX_LINES_PER_SECOND,
    now,
    onSkipped: (count) => note(`… ${count} more requests`),
  });
  return {
    connecting(server) {
      note(`connecting to ${server}`);
    },
    ready({ pipes, server, elapsedMs, background }) {
      note(`connected to ${server} in ${formatDuration(elapsedMs)}`);
      for (const pipe of pipes) {
        targets.set(pipe.hostname, pipe.target);
        note(`${pipe.url} → ${pipe.target}`);
      }
      if (background !== undefined) {
        note(`runs in the background, process ${background.pid}, log ${background.logPath}`);
      }
      options.stdout.write(pipes.map((pipe) => `${pipe.url}\n`).join(""));
    },
    request(report) {
      if (!options.logsRequests && report.errorCode === undefined) return;
      if (!budget.take()) return;
      const { hostname, method, path, status, durationMs, responseBytes, errorCode } = report;
      const what = `${escapeControls(hostname)} ${escapeControls(method)} ${escapeControls(path)} ${status}`;
      const why =
        errorCode === undefined ? "" : ` ${errorCode}: ${describeFailure(errorCode, targets.get(hostname) ?? null)}`;
      note(`${what} ${formatDuration(durationMs)} ${formatBytes(responseBytes)}${why}`);
    },
    reconnecting(attempt, delayMs, code) {
      // Attempts go on for ever; their lines get rarer.
      if ((attempt & (attempt - 1)) !== 0) return;
      note(`connection lost (${code}), retry ${attempt} in ${formatDuration(delayMs)}`);
    },
    resumed(outageMs) {
      note(`resumed after ${formatDuration(outageMs)}`);
    },
    pipe({ name, url }, error) {
      if (error === null) note(`${name} is registered again: ${url}`);
      else
        note(`${name} is refused (${error.code}): ${escapeControls(error.message)}; trying again, the others are up`);
    },
    changed(closed, left) {
      note(`closed ${closed.join(", ")}; still up: ${left.map((pipe) => pipe.name).join(", ")}`);
    },
    draining(openStreams) {
      note(`draining, ${openStreams} open`);
    },
    closed(names, code, reason) {
      note(`closed ${names.join(", ")}${code === null ? "" : ` (${code})`}: ${reason}`);
    },
    show() {},
    end() {
      budget.end();
    },
  };
}
