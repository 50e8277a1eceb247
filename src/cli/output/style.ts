// Whether a stream gets colours and a moving cursor, and the palette. The only
// file that makes a chalk instance.

import { Chalk, type ChalkInstance, supportsColor, supportsColorStderr } from "chalk";

/** Where output goes: stdout, stderr, or what a test puts in their place. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

export interface Palette {
  /** All functions below leave the text as it is. */
  readonly isPlain: boolean;
  readonly brand: (text: string) => string;
  readonly link: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warning: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
}

export interface StreamLook {
  /** A person is looking at it. */
  readonly isTerminal: boolean;
  /** Lines can be updated in place. */
  readonly canRewrite: boolean;
  readonly palette: Palette;
}

export interface LookOptions {
  readonly env: NodeJS.ProcessEnv;
  /** `--no-color` */
  readonly noColor: boolean;
}

/** Columns when the terminal does not say. */
const DEFAULT_COLUMNS = 80;

/** How to write to `stream`. NO_COLOR (https://no-color.org) counts when it is not empty, TERM=dumb always. */
export function lookOf(stream: Output, options: LookOptions): StreamLook {
  const isTerminal = stream.isTTY === true;
  const isDumb = options.env.TERM === "dumb";
  const isPlain = options.noColor || isDumb || Boolean(options.env.NO_COLOR);
  const support = stream === process.stderr ? supportsColorStderr : supportsColor;
  const level = isPlain || support === false ? 0 : support.level;
  return { isTerminal, canRewrite: isTerminal && !isDumb, palette: paletteOf(new Chalk({ level })) };
}

export function columnsOf(stream: Output): number {
  return stream.columns || DEFAULT_COLUMNS;
}

function paletteOf(chalk: ChalkInstance): Palette {
  return {
    isPlain: chalk.level === 0,
    brand: chalk.bold.cyan,
    link: chalk.cyan,
    good: chalk.green,
    bad: chalk.red,
    warning: chalk.yellow,
    strong: chalk.bold,
    faint: chalk.dim,
  };
}
