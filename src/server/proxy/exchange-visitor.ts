// A visitor's connection, as the exchange that serves its present request sees it.

import type { Forwarding, RequestHead } from "../../http/index.ts";
import type { ErrorCode } from "../../protocol/index.ts";
import type { AnswerSink } from "./answer-reader.ts";
import type { OriginStream } from "./origin-stream.ts";

export interface ExchangeVisitor extends AnswerSink {
  /** `ip:port`, for the client's log. */
  readonly address: string;
  readonly isTls: boolean;
  readonly forwarding: Forwarding;
  /** Whether bytes wait for the visitor to read. */
  readonly isBlocked: boolean;
  /** The exchange can take body bytes now, or not. */
  setFlow(canTake: boolean): void;
  /** Writes an error answer, with `fields` besides the usual (each with its CRLF). `onExchangeDone` follows. */
  writeError(code: ErrorCode, head: RequestHead, keepAlive: boolean, fields?: string): void;
  /** The answer is out, and the exchange is free. `keepAlive`: what the visitor was told. */
  onExchangeDone(keepAlive: boolean): void;
  /** The answer broke off: the visitor must not take it for a complete one. `isUntilClose`: an orderly end would look so. */
  onExchangeBroken(isUntilClose: boolean): void;
  /** A 101 is out. */
  onSwitched(origin: OriginStream, switched: Switched): void;
}

export interface Switched {
  /** What the target sent behind it. */
  readonly early: Buffer;
  /** Who signed in for it at the pipe's gate, and has to stay welcome; null: nobody had to. */
  readonly person: string | null;
}
