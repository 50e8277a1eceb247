// Signs in with the help of another device (RFC 8628): a code is shown here and typed there. Opens no port.

import { hostname } from "node:os";
import {
  type DeviceAuthorizationResponse,
  initiateDeviceAuthorization,
  pollDeviceAuthorizationGrant,
} from "openid-client";
import { DuplexityError } from "../../protocol/errors.ts";
import { rejectedBy } from "../interrupts.ts";
import { signInFailure } from "./failure.ts";
import type { SignIn } from "./file.ts";
import { type Provider, SCOPE } from "./provider.ts";
import { signInOf } from "./tokens.ts";

/** A server that gives its codes a longer life is not waited for longer. */
const MAX_WAIT_MS = 900_000;

export interface DeviceCode {
  /** Where to go. The code is not in it: whoever confirms has to have seen this screen. */
  readonly verificationUri: string;
  readonly userCode: string;
  readonly expiresAt: Date;
}

export interface DeviceOptions {
  readonly onCode: (code: DeviceCode) => void;
  readonly signal: AbortSignal;
}

/**
 * @throws {DuplexityError} `DPX_SIGN_IN_FAILED` when it is refused or the code's time is over; what `signal` aborts with.
 */
export async function signInByDevice(provider: Provider, options: DeviceOptions): Promise<SignIn> {
  const { server, issuer } = provider;
  const doing = `sign in to ${server}`;
  const asked = await ask(provider, doing, options.signal);
  const lifeMs = Math.min(MAX_WAIT_MS, asked.expires_in * 1_000);
  const endsAt = Date.now() + lifeMs;
  options.onCode({
    verificationUri: asked.verification_uri,
    userCode: asked.user_code,
    expiresAt: new Date(endsAt),
  });
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), lifeMs);
  const giveUp = () => limit.abort();
  options.signal.addEventListener("abort", giveUp, { once: true });
  if (options.signal.aborted) giveUp();
  try {
    const { signal } = limit;
    // Between two asks the package does not look at the signal: Ctrl-C would take some five seconds.
    const tokens = await Promise.race([poll(provider, asked, { doing, signal }), rejectedBy(signal)]);
    return signInOf(tokens, { server, issuer, refreshToken: null, user: "" });
  } catch (error) {
    if (options.signal.aborted) throw givenUp(doing, options.signal.reason);
    if (limit.signal.aborted) throw tooLate(doing, server, error);
    throw error;
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", giveUp);
  }
}

async function ask(
  { config, server }: Provider,
  doing: string,
  signal: AbortSignal,
): Promise<DeviceAuthorizationResponse> {
  try {
    // The machine's name is shown to whoever confirms: a stranger's code would name a stranger's machine.
    return await initiateDeviceAuthorization(config, { scope: SCOPE, prompt: "consent", machine: hostname() });
  } catch (error) {
    if (signal.aborted) throw givenUp(doing, signal.reason);
    throw signInFailure(doing, server, error);
  }
}

/** Asks until there is an answer. A network that is gone for a moment is no answer. */
async function poll(
  { config, server }: Provider,
  asked: DeviceAuthorizationResponse,
  options: { doing: string; signal: AbortSignal },
) {
  const { doing, signal } = options;
  for (;;) {
    try {
      return await pollDeviceAuthorizationGrant(config, asked, undefined, { signal });
    } catch (error) {
      if (signal.aborted) throw error;
      const failure = signInFailure(doing, server, error);
      if (failure.code === "DPX_SERVER_UNREACHABLE" || failure.code === "DPX_RATE_LIMIT") continue;
      if (/\bexpired_token\b/.test(failure.message)) throw tooLate(doing, server, error);
      throw failure;
    }
  }
}

function tooLate(doing: string, server: string, cause: unknown): DuplexityError {
  return new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot ${doing}: the code was not confirmed in its time`, {
    hint: `For a new one: duplexity login ${server} --device`,
    cause,
  });
}

function givenUp(doing: string, reason: unknown): DuplexityError {
  if (reason instanceof DuplexityError) return reason;
  return new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot ${doing}: it was given up here`, { cause: reason });
}
