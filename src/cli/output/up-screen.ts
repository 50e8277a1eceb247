// `up` on a terminal: header, a line per request, and one line at the bottom
// that is updated in place while the link is away. Only what it is told; no keyboard.

import ora, { type Ora } from "ora";
import type { RequestReport } from "../../protocol/stream.ts";
import type { UpPipe } from "../runtime/messages.ts";
import {
  countOf,
  cut,
  describeFailure,
  escapeControls,
  formatBytes,
  formatClock,
  formatDuration,
  formatRoundTrip,
  wrap,
} from "./format.ts";
import { createLineBudget } from "./line-budget.ts";
import { columnsOf, lookOf, type Palette } from "./style.ts";
import type { UpReady, UpView, UpViewOptions } from "./up-view.ts";

/** More lines in a second nobody reads, and each costs the terminal. */
const MAX_LINES_PER_SECOND = 40;
/** The countdown to the next attempt moves this often. */
const COUNTDOWN_STEP_MS = 100;
/** A longer path than this gains nothing on a wide terminal. */
const MAX_PATH_COLUMNS = 72;
const MIN_PATH_COLUMNS = 12;
/** Width of a request's line without its path (and without the pipe's name). */
const FIXED_COLUMNS = 45;
const MAX_NAME_COLUMNS = 16;
/** Below the method. */
const FAILURE_INDENT = 12;

const HELP: readonly (readonly [key: string, does: string])[] = [
  ["u", "show the public URLs"],
  ["s", "show requests, round trip and bytes"],
  ["c", "clear the screen"],
  ["q", "finish running requests and quit (as Ctrl-C)"],
];

export function createScreenView(options: UpViewOptions): UpView {
  const now = options.now ?? Date.now;
  const { stdout } = options;
  const { palette, canRewrite } = lookOf(stdout, options);
  let pipes: readonly UpPipe[] = [];
  let spinner: Ora | null = null;
  let countdown: NodeJS.Timeout | null = null;
  let lastFailure = "";
  let hasDrainLine = false;

  const write = (text: string) => {
    spinner?.clear();
    stdout.write(text);
    spinner?.render();
  };
  const clock = () => palette.faint(formatClock(new Date(now())));
  const spin = (text: string) => {
    if (!canRewrite) return;
    // discardStdin: ora would swallow the keyboard, which is ours. prefixText: its `indent` leaves the cursor indented.
    const color = palette.isPlain ? false : "cyan";
    spinner ??= ora({ stream: stdout, discardStdin: false, prefixText: " ", color });
    spinner.text = text;
    if (!spinner.isSpinning) spinner.start();
  };
  const stopSpinning = () => {
    if (countdown !== null) clearInterval(countdown);
    countdown = null;
    spinner?.stop();
    spinner = null;
  };
  const keyboardLine = options.hasKeyboard
    ? `  ${palette.good("➜")}  ${palette.faint("press")} h + enter ${palette.faint("for help")}\n`
    : "";
  const budget = createLineBudget({
    linesPerSecond: MAX_LINES_PER_SECOND,
    now,
    onSkipped: (count) => write(palette.faint(`            … ${countOf(count, "more request")}\n`)),
  });

  return {
    connecting(server) {
      spin(`connecting to ${server}`);
    },
    ready(ready) {
      stopSpinning();
      pipes = ready.pipes;
      const version = options.version.split(".").slice(0, 2).join(".");
      const host = new URL(ready.server).host;
      write(
        `\n  ${palette.brand("DUPLEXITY")} ${palette.faint(version)}  connected to ${host} in ${formatDuration(ready.elapsedMs)}\n\n` +
          publicLines(pipes, palette, columnsOf(stdout)) +
          (ready.background === undefined ? keyboardLine : backgroundLines(ready, palette)) +
          "\n",
      );
    },
    request(report) {
      if (!budget.take()) return;
      const line = requestLine(report, { label: labelOf(report, pipes), columns: columnsOf(stdout), palette });
      const failure = failureOf(report, pipes);
      // The same sentence under each of a hundred requests hides the requests.
      const isNews = failure !== "" && failure !== lastFailure;
      const because = isNews ? `${palette.bad(wrap(failure, columnsOf(stdout), FAILURE_INDENT))}\n` : "";
      lastFailure = failure;
      write(`  ${clock()}  ${line}\n${because}`);
    },
    reconnecting(attempt, delayMs, code) {
      const start = now();
      const lostAt = formatClock(new Date(start));
      if (!canRewrite) {
        if (attempt === 1) write(`  ${lostAt}  ↻ connection lost (${code}), retrying\n`);
        return;
      }
      if (countdown !== null) clearInterval(countdown);
      const update = () => {
        const left = Math.max(0, delayMs - (now() - start));
        const when = left === 0 ? "now" : `in ${(left / 1_000).toFixed(1)} s`;
        spin(`${palette.warning("connection lost")}, retry ${attempt} ${when} ${palette.faint(code)}`);
      };
      update();
      countdown = setInterval(update, COUNTDOWN_STEP_MS).unref();
    },
    resumed(outageMs) {
      stopSpinning();
      write(`  ${clock()}  ${palette.good("✔")} resumed after ${formatDuration(outageMs)}\n`);
    },
    pipe({ name, url }, error) {
      stopSpinning();
      if (error === null) write(`  ${clock()}  ${palette.good("✔")} ${name} is registered again: ${url}\n`);
      else {
        const why = `${escapeControls(error.message)} ${palette.faint(error.code)}`;
        write(`  ${clock()}  ${palette.bad("✖")} ${name} is refused, trying again: ${why}\n`);
      }
    },
    changed(closed, left) {
      pipes = left;
      write(
        `  ${clock()}  ${palette.good("✔")} closed ${closed.join(", ")}; still up: ${left.map((pipe) => pipe.name).join(", ")}\n`,
      );
    },
    draining(openStreams) {
      stopSpinning();
      if (openStreams === 0) return;
      hasDrainLine = true;
      write(`\n  Draining ${countOf(openStreams, "request")}… ${palette.faint("(Ctrl-C again to stop now)")}\n`);
    },
    closed(names, code) {
      stopSpinning();
      const mark = code === null ? palette.good("✔") : palette.bad("✖");
      write(`${hasDrainLine ? "" : "\n"}  ${mark} closed ${names.join(", ")}\n`);
    },
    show(what, figures) {
      if (what === "clear" && canRewrite) stdout.write("\u001b[2J\u001b[3J\u001b[H");
      if (what === "urls" || what === "clear") write(`\n${publicLines(pipes, palette, columnsOf(stdout))}\n`);
      if (what === "help") {
        write(`\n${HELP.map(([key, does]) => `  ${palette.strong(key)} + enter  ${does}\n`).join("")}\n`);
      }
      if (what === "figures" && figures !== null) {
        const parts = [
          countOf(figures.requests, "request"),
          figures.rttMs === null ? "no round trip measured yet" : `round trip ${formatRoundTrip(figures.rttMs)}`,
          `${formatBytes(figures.bytesIn)} in, ${formatBytes(figures.bytesOut)} out`,
          `up for ${formatDuration(now() - figures.upSince.getTime())}`,
        ];
        write(`\n  ${parts.join(palette.faint(" · "))}\n\n`);
      }
    },
    end() {
      stopSpinning();
      budget.end();
    },
  };
}

/** `➜  Public   https://cat1.tunnel.example.com  → http://localhost:9090`, the arrows below each other. */
function publicLines(pipes: readonly UpPipe[], palette: Palette, columns: number): string {
  const widest = Math.max(...pipes.map((pipe) => pipe.url.length));
  return pipes
    .map((pipe) => {
      const fits = 14 + widest + 4 + pipe.target.length <= columns;
      const gap = fits ? `${" ".repeat(widest - pipe.url.length)}  ` : `\n${" ".repeat(14)}`;
      return `  ${palette.good("➜")}  Public   ${palette.link(pipe.url)}${gap}${palette.faint("→")} ${escapeControls(pipe.target)}\n`;
    })
    .join("");
}

function backgroundLines(ready: UpReady, palette: Palette): string {
  const line = (name: string, text: string) => `  ${palette.good("➜")}  ${name.padEnd(8)} ${text}\n`;
  return [
    line("Process", `${ready.background?.pid} ${palette.faint("(in the background)")}`),
    line("Log", palette.faint(ready.background?.logPath ?? "")),
    line("Stop", `duplexity down ${ready.pipes.map((pipe) => pipe.name).join(" ")}`),
  ].join("");
}

/** `POST   /hooks/stripe      200     38 ms   1.2 kB`, as wide as the terminal has room after the time. */
export function requestLine(
  report: RequestReport,
  options: { label: string; columns: number; palette: Palette },
): string {
  const { label, palette } = options;
  const room = options.columns - FIXED_COLUMNS - label.length;
  const width = Math.min(MAX_PATH_COLUMNS, Math.max(MIN_PATH_COLUMNS, room));
  const method = cut(escapeControls(report.method), 7).padEnd(7);
  const path = cut(escapeControls(report.path), width).padEnd(width);
  const colour = statusColour(report.status, palette);
  const duration = formatDuration(report.durationMs).padStart(9);
  const size = formatBytes(report.responseBytes).padStart(7);
  return `${palette.faint(label)}${method} ${path}  ${colour(String(report.status))}  ${duration}  ${palette.faint(size)}`;
}

/** Which of several pipes it was, in a column of its own. */
function labelOf(report: RequestReport, pipes: readonly UpPipe[]): string {
  if (pipes.length < 2) return "";
  const name = pipes.find((pipe) => pipe.hostname === report.hostname)?.name ?? "";
  const width = Math.min(MAX_NAME_COLUMNS, Math.max(...pipes.map((pipe) => pipe.name.length)));
  return `${cut(name, width).padEnd(width)}  `;
}

function failureOf(report: RequestReport, pipes: readonly UpPipe[]): string {
  if (report.errorCode === undefined) return "";
  const target = pipes.find((pipe) => pipe.hostname === report.hostname)?.target ?? null;
  return `${report.errorCode}: ${describeFailure(report.errorCode, target)}`;
}

function statusColour(status: number, palette: Palette): (text: string) => string {
  if (status >= 500) return palette.bad;
  if (status >= 400) return palette.warning;
  return status >= 300 ? palette.link : palette.good;
}
