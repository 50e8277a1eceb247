// What commands say to each other: `status` and `down` to a running `up`, and
// `up -d`'s child to its parent. Validates what comes in; moves no bytes.

import type { PipeProtocol } from "../../protocol/messages.ts";

/** A longer line is refused on both sides. */
export const MAX_LINE_BYTES = 65_536;

export type UpRequest =
  | { readonly v: 1; readonly type: "status" }
  /** `names`: which pipes; null: all, so the `up` ends. */
  | { readonly v: 1; readonly type: "down"; readonly names: readonly string[] | null };

export interface UpPipe {
  readonly name: string;
  readonly hostname: string;
  readonly protocol: PipeProtocol;
  readonly url: string;
  readonly target: string;
}

/** One running `up`. Times are ISO 8601. */
export interface UpStatus {
  readonly v: 1;
  readonly type: "status";
  readonly pid: number;
  readonly clientId: string;
  readonly server: string;
  readonly state: string;
  /** Since when the pipes have been up, through all reconnects. */
  readonly upSince: string;
  /** When the link was lost, while it is. */
  readonly awaySince: string | null;
  readonly requests: number;
  readonly openStreams: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly rttMs: number | null;
  readonly lastByteAt: string | null;
  readonly pipes: readonly UpPipe[];
}

export interface UpDowned {
  readonly v: 1;
  readonly type: "downed";
  readonly names: readonly string[];
}

/** Why a request was not done. */
export interface UpFailure {
  readonly v: 1;
  readonly type: "failed";
  readonly message: string;
}

/** The child of `up -d` is up. */
export interface DetachedReady {
  readonly type: "ready";
  readonly clientId: string;
  readonly server: string;
  readonly elapsedMs: number;
  readonly pipes: readonly UpPipe[];
}

/** What the child of `up -d` tells its parent, once. */
export type DetachedNews =
  | DetachedReady
  | { readonly type: "failed"; readonly code: string; readonly message: string; readonly hint?: string };

export type UpAnswer = UpStatus | UpDowned | UpFailure;

/** The request in a line, or null if it is none. */
export function readUpRequest(line: string): UpRequest | null {
  const value = readObject(line);
  if (value === null || value.v !== 1) return null;
  if (value.type === "status") return { v: 1, type: "status" };
  if (value.type !== "down") return null;
  if (value.names === null) return { v: 1, type: "down", names: null };
  if (!Array.isArray(value.names) || !value.names.every(isText)) return null;
  return { v: 1, type: "down", names: value.names };
}

/** The answer in a line, or null if it is none that this version understands. */
export function readUpAnswer(line: string): UpAnswer | null {
  const value = readObject(line);
  if (value === null || value.v !== 1) return null;
  if (value.type === "failed" && isText(value.message)) return { v: 1, type: "failed", message: value.message };
  if (value.type === "downed" && Array.isArray(value.names) && value.names.every(isText)) {
    return { v: 1, type: "downed", names: value.names };
  }
  return value.type === "status" ? readStatus(value) : null;
}

/** The news in an IPC message, or null if it is none. */
export function readDetachedNews(message: unknown): DetachedNews | null {
  if (typeof message !== "object" || message === null) return null;
  const value: Readonly<Record<string, unknown>> = { ...message };
  if (value.type === "failed" && isText(value.code) && isText(value.message)) {
    const hint = isText(value.hint) ? { hint: value.hint } : {};
    return { type: "failed", code: value.code, message: value.message, ...hint };
  }
  const { type, clientId, server, elapsedMs, pipes } = value;
  if (type !== "ready" || !isText(clientId) || !isText(server) || !isCount(elapsedMs)) return null;
  if (!Array.isArray(pipes) || !pipes.every(isPipe)) return null;
  return { type, clientId, server, elapsedMs, pipes };
}

function readStatus(value: Readonly<Record<string, unknown>>): UpStatus | null {
  const { pid, clientId, server, state, upSince, awaySince, requests, openStreams, bytesIn, bytesOut } = value;
  const { rttMs, lastByteAt, pipes } = value;
  if (!isText(clientId) || !isText(server) || !isText(state) || !isText(upSince)) return null;
  if (!isCount(pid) || !isCount(requests) || !isCount(openStreams) || !isCount(bytesIn) || !isCount(bytesOut))
    return null;
  if (awaySince !== null && !isText(awaySince)) return null;
  if (lastByteAt !== null && !isText(lastByteAt)) return null;
  if (rttMs !== null && typeof rttMs !== "number") return null;
  if (!Array.isArray(pipes) || !pipes.every(isPipe)) return null;
  const figures = { requests, openStreams, bytesIn, bytesOut, rttMs, lastByteAt };
  return { v: 1, type: "status", pid, clientId, server, state, upSince, awaySince, ...figures, pipes };
}

function isPipe(value: unknown): value is UpPipe {
  if (typeof value !== "object" || value === null) return false;
  if (!("name" in value && "hostname" in value && "protocol" in value && "url" in value && "target" in value))
    return false;
  const isProtocol = value.protocol === "http" || value.protocol === "tcp";
  return isProtocol && isText(value.name) && isText(value.hostname) && isText(value.url) && isText(value.target);
}

function readObject(line: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
