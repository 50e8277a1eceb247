// The pipes as a client asks a hub for them, and what it makes of the answer. Values in, values out: sends nothing.

import { type DialRequest, DuplexityError, hostnameOf, type PipeRequest, type PipeResult } from "../protocol/index.ts";
import type { SealedPipe } from "./gate.ts";
import type { Target } from "./target.ts";
import type { TunnelPipe } from "./tunnel.ts";

export type Registered = Extract<PipeResult, { status: "registered" }>;

export interface DialRequestOptions {
  readonly clientId: string;
  readonly wantsReports: boolean;
  /** The pipes are registered over another hub. */
  readonly isSecond: boolean;
}

export function dialRequest(pipes: readonly SealedPipe[], options: DialRequestOptions): DialRequest {
  const { clientId, wantsReports, isSecond } = options;
  return {
    type: "dialRequest",
    clientId,
    pipes: pipes.map(requestOf),
    wants: ["pause", ...(wantsReports ? ["requests" as const] : []), ...(isSecond ? ["second-link" as const] : [])],
  };
}

/** Where hostnames will lead if all of `pipes` are registered below `domain`. */
export function targetsWanted(pipes: readonly SealedPipe[], domain: string): ReadonlyMap<string, Target> {
  return new Map(pipes.map(({ name, target }) => [hostnameOf(name, domain), target]));
}

/**
 * All that were registered.
 *
 * @throws {DuplexityError} The first refusal.
 */
export function registeredOf(results: readonly PipeResult[]): readonly Registered[] {
  const registered: Registered[] = [];
  for (const result of results) {
    if (result.status === "refused") throw new DuplexityError(result.code, result.message, { hint: result.hint });
    registered.push(result);
  }
  return registered;
}

/**
 * Where hostnames lead. The hub answers with the names as they were sent.
 *
 * @throws {DuplexityError} `DPX_PROTOCOL` unless all of `pipes` are among `results`.
 */
export function targetsOf(pipes: readonly SealedPipe[], results: readonly Registered[]): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const { name, hostname } of results) {
    const pipe = pipes.find((candidate) => candidate.name === name);
    if (pipe !== undefined) targets.set(hostname, pipe.target);
  }
  if (targets.size === pipes.length) return targets;
  throw new DuplexityError("DPX_PROTOCOL", `The server registered ${targets.size} of ${pipes.length} pipes`);
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
