// The pipes as a client asks a hub for them, and what it makes of the answer. Values in, values out: sends nothing.

import { type DialRequest, DuplexityError, hostnameOf, type PipeRequest, type PipeResult } from "../protocol/index.ts";
import { isFinal } from "./dial-errors.ts";
import type { SealedPipe } from "./gate.ts";
import type { Target } from "./target.ts";
import type { TunnelPipe } from "./tunnel.ts";

export type Registered = Extract<PipeResult, { status: "registered" }>;

/** A pipe that the hub does not take, which has taken others. */
export interface RefusedPipe {
  readonly pipe: SealedPipe;
  readonly error: DuplexityError;
}

/** What came of a dial: at least one pipe is registered. */
export interface Registration {
  readonly registered: readonly Registered[];
  /** Only if it could be partial. */
  readonly refused: readonly RefusedPipe[];
}

export interface DialRequestOptions {
  readonly clientId: string;
  readonly wantsReports: boolean;
  /** The pipes are registered over another hub. */
  readonly isSecond: boolean;
  /** Some of the pipes are of use without the others. */
  readonly isPartial: boolean;
}

const OPTIONAL_WANTS = ["requests", "second-link", "partial"] as const;

export function dialRequest(pipes: readonly SealedPipe[], options: DialRequestOptions): DialRequest {
  const { clientId, wantsReports, isSecond, isPartial } = options;
  const optional = { requests: wantsReports, "second-link": isSecond, partial: isPartial } as const;
  return {
    type: "dialRequest",
    clientId,
    pipes: pipes.map(requestOf),
    wants: ["pause", ...OPTIONAL_WANTS.filter((want) => optional[want])],
  };
}

/** Where hostnames will lead if all of `pipes` are registered below `domain`. */
export function targetsWanted(pipes: readonly SealedPipe[], domain: string): ReadonlyMap<string, Target> {
  return new Map(pipes.map(({ name, target }) => [hostnameOf(name, domain), target]));
}

/**
 * Which of `pipes` were registered, and why the others were not. A hub tells some refusals of many: the others are as the last.
 *
 * @throws {DuplexityError} The first refusal, if it ends the tunnel, or if all have to be registered, or if none is.
 * `DPX_PROTOCOL` if the hub says nothing of some of them.
 */
export function registrationOf(
  pipes: readonly SealedPipe[],
  results: readonly PipeResult[],
  isPartial: boolean,
): Registration {
  const registered = results.filter((result): result is Registered => result.status === "registered");
  const errors = new Map<string, DuplexityError>();
  for (const result of results) {
    if (result.status === "registered") continue;
    const error = new DuplexityError(result.code, result.message, { hint: result.hint });
    if (!isPartial || registered.length === 0 || isFinal(error.code)) throw error;
    errors.set(result.name, error);
  }
  const names = new Set(registered.map(({ name }) => name));
  const others = pipes.filter(({ name }) => !names.has(name));
  const last = [...errors.values()].at(-1);
  if (others.length > 0 && last === undefined) {
    const message = `The server registered ${pipes.length - others.length} of ${pipes.length} pipes`;
    throw new DuplexityError("DPX_PROTOCOL", message);
  }
  const refused = others.flatMap((pipe) => {
    const error = errors.get(pipe.name) ?? last;
    return error === undefined ? [] : [{ pipe, error }];
  });
  return { registered, refused };
}

/** Where hostnames lead. The hub answers with the names as they were sent. */
export function targetsOf(pipes: readonly SealedPipe[], results: readonly Registered[]): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const { name, hostname } of results) {
    const pipe = pipes.find((candidate) => candidate.name === name);
    if (pipe !== undefined) targets.set(hostname, pipe.target);
  }
  return targets;
}

/** `pipe` as the tunnel shows it. */
export function tunnelPipe(pipe: SealedPipe, results: readonly Registered[]): TunnelPipe {
  const result = results.find(({ name }) => name === pipe.name);
  return {
    name: pipe.name,
    hostname: result?.hostname ?? pipe.name,
    protocol: pipe.target.protocol,
    url: result?.url ?? "",
    target: pipe.target.text,
  };
}

function requestOf({ name, target: { protocol }, gate }: SealedPipe): PipeRequest {
  return gate === undefined ? { name, protocol } : { name, protocol, gate };
}
