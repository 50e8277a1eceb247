// What `up` tells whoever runs it, in three dresses: a screen, plain lines, JSON
// lines. This file is the interface and the choice; each dress is a file of its own.

import type { DuplexityError, ErrorCode } from "../../protocol/errors.ts";
import type { RequestReport } from "../../protocol/stream.ts";
import type { UpPipe } from "../runtime/messages.ts";
import type { LookOptions, Output } from "./style.ts";
import { createJsonView } from "./up-json.ts";
import { createPlainView } from "./up-plain.ts";

export interface UpReady {
  readonly clientId: string;
  readonly server: string;
  /** From the start of the command. */
  readonly elapsedMs: number;
  readonly pipes: readonly UpPipe[];
  /** The process that carries the pipes, when it is another one (`up -d`). */
  readonly background?: { readonly pid: number; readonly logPath: string };
}

export interface UpFigures {
  readonly requests: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly rttMs: number | null;
  readonly upSince: Date;
}

export interface UpView {
  connecting(server: string): void;
  ready(ready: UpReady): void;
  request(report: RequestReport): void;
  reconnecting(attempt: number, delayMs: number, code: ErrorCode): void;
  resumed(outageMs: number): void;
  /** The hub does not take this pipe now, though it takes others (`error`), or it takes it again (null). */
  pipe(pipe: UpPipe, error: DuplexityError | null): void;
  /** Some pipes were closed by `down`, the others go on. */
  changed(closed: readonly string[], left: readonly UpPipe[]): void;
  draining(openStreams: number): void;
  /** `code` null: it was asked for. */
  closed(names: readonly string[], code: ErrorCode | null, reason: string): void;
  /** What somebody at the keyboard asked for. */
  show(what: "help" | "urls" | "clear", figures: null): void;
  show(what: "figures", figures: UpFigures): void;
  /** Leaves the terminal as it was. Safe to call twice. */
  end(): void;
}

export interface UpViewOptions extends LookOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly version: string;
  readonly isJson: boolean;
  readonly logsRequests: boolean;
  /** Whether somebody can type. */
  readonly hasKeyboard: boolean;
  /** @default Date.now */
  readonly now?: () => number;
}

/** The dress that fits where stdout goes. */
export async function createUpView(options: UpViewOptions): Promise<UpView> {
  if (options.isJson) return createJsonView(options);
  if (!options.stdout.isTTY) return createPlainView(options);
  // Loaded only here: ora takes as long as all the rest.
  const { createScreenView } = await import("./up-screen.ts");
  return createScreenView(options);
}
