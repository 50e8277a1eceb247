// Where the lines of `serve` go: JSON for whoever gathers logs, words and colours for a person. Chooses no line.

import type { LogFacts } from "../../server/index.ts";
import { escapeControls, formatClock } from "./format.ts";
import { type LookOptions, lookOf, type Output, type Palette } from "./style.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export function isLogLevel(text: string): text is LogLevel {
  return (LOG_LEVELS as readonly string[]).includes(text);
}

export function isLogFormat(text: string): text is LogFormat {
  return (LOG_FORMATS as readonly string[]).includes(text);
}

export type ServeLog = (level: LogLevel, message: string, facts?: LogFacts) => void;

export interface ServeLogOptions extends LookOptions {
  readonly stderr: Output;
  /** Lines below it are dropped. */
  readonly level: LogLevel;
  readonly format: LogFormat;
}

export async function openServeLog(options: ServeLogOptions): Promise<ServeLog> {
  return options.format === "json" ? jsonLog(options) : prettyLog(options);
}

async function jsonLog({ stderr, level }: ServeLogOptions): Promise<ServeLog> {
  // Loaded only where it is used.
  const { pino } = await import("pino");
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => void stderr.write(line) },
  );
  return (lineLevel, message, facts = {}) => logger[lineLevel](facts, message);
}

function prettyLog(options: ServeLogOptions): ServeLog {
  const { stderr, level } = options;
  const { palette } = lookOf(stderr, options);
  return (lineLevel, message, facts = {}) => {
    if (LOG_LEVELS.indexOf(lineLevel) < LOG_LEVELS.indexOf(level)) return;
    const mark = levelColour(lineLevel, palette)(lineLevel.padEnd(5));
    const more = Object.values(facts).map((fact) => `  ${palette.faint(String(fact))}`);
    stderr.write(`  ${palette.faint(formatClock(new Date()))}  ${mark}  ${escapeControls(message)}${more.join("")}\n`);
  };
}

function levelColour(level: LogLevel, palette: Palette): (text: string) => string {
  switch (level) {
    case "error":
      return palette.bad;
    case "warn":
      return palette.warning;
    case "info":
      return palette.link;
    case "debug":
      return palette.faint;
  }
}
