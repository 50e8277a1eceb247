// What a gate says about one request, and the words in which HTTP says it. Judges nothing.

import { STATUS_CODES } from "node:http";
import type { FieldEdit } from "../../http/index.ts";
import type { ErrorCode } from "../../protocol/index.ts";

export type GateVerdict =
  | {
      readonly kind: "welcome";
      /** Keeps what was meant for the gate from the target. */
      readonly edit: FieldEdit;
      /** Who signed in, and has to stay welcome as long as this goes on; null: nobody had to. */
      readonly person: string | null;
    }
  | GateRefusal
  | GateRedirect;

export interface GateRefusal {
  readonly kind: "refused";
  readonly code: ErrorCode;
  /** Fields of the answer besides the usual, each with its CRLF. */
  readonly fields: string;
}

export interface GateRedirect {
  readonly kind: "redirect";
  /** What the gate said no to for now; null when it lets the visitor in. */
  readonly code: ErrorCode | null;
  readonly location: string;
  readonly fields: string;
}

/** RFC 9110 §15.4.4: whatever was asked for, what follows is a GET. */
export const REDIRECT_STATUS = 303;

export function refused(code: ErrorCode, fields = ""): GateRefusal {
  return { kind: "refused", code, fields };
}

/** RFC 7617 §2.1. A canonical hostname has nothing to escape. */
export function basicChallenge(hostname: string): string {
  return `WWW-Authenticate: Basic realm="${hostname}", charset="UTF-8"\r\n`;
}

/** RFC 9110 §15.5.2: a 401 names a scheme. No browser knows this one, so none asks for a password. */
export function signInChallenge(hostname: string): string {
  return `WWW-Authenticate: Duplexity-Sign-In realm="${hostname}"\r\n`;
}

/** The whole answer, without a body. */
export function redirectAnswer({ location, fields }: GateRedirect, keepAlive: boolean): string {
  return (
    `HTTP/1.1 ${REDIRECT_STATUS} ${STATUS_CODES[REDIRECT_STATUS]}\r\nLocation: ${location}\r\n${fields}` +
    // The address that leads here may hold a one-time code: it is nobody else's.
    `Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nContent-Length: 0\r\n` +
    `Date: ${new Date().toUTCString()}\r\nConnection: ${keepAlive ? "keep-alive" : "close"}\r\n\r\n`
  );
}
