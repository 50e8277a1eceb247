// A server's OpenID provider: found under /auth of the server and checked to be that very server's. Signs nobody in.

import {
  allowInsecureRequests,
  ClientError,
  type Configuration,
  clockTolerance,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  None,
} from "openid-client";
import { DuplexityError } from "../../protocol/errors.ts";
import { isLoopbackHost } from "../../server/identity/loopback.ts";
import { fieldsOf } from "../api-answer.ts";
import { signInFailure } from "./failure.ts";
import { createFetch } from "./web.ts";

export const CLIENT_ID = "duplexity-cli";
export const SCOPE = "openid offline_access profile";
/** Below the server's origin. */
const ISSUER_PATH = "/auth";
const TIMEOUT_S = 10;
/** How far the clocks of the two machines may be apart. */
const CLOCK_TOLERANCE_S = 60;

export interface Provider {
  /** The server's origin, as its issuer says it. */
  readonly server: string;
  readonly issuer: string;
  readonly config: Configuration;
}

/**
 * Asks `server` how to sign in.
 *
 * @param server An origin.
 * @param signal Gives up, also whatever is asked of the provider later.
 * @throws What `signal` aborts with.
 * @throws {DuplexityError} `DPX_USAGE` for http:// to another machine; `DPX_SERVER_UNREACHABLE`; `DPX_SIGN_IN_FAILED`
 * when it has no sign-in, or one that is not its own.
 */
export async function findProvider(server: string, signal?: AbortSignal): Promise<Provider> {
  checkProtected(server);
  const issuer = `${server}${ISSUER_PATH}`;
  try {
    return { server, issuer, config: await discover(issuer, signal) };
  } catch (error) {
    signal?.throwIfAborted();
    const other = issuerIn(error);
    if (other !== null && isSameHere(server, other)) {
      return { server: new URL(other).origin, issuer: other, config: await discoverAgain(server, other, signal) };
    }
    throw failure(server, error, other);
  }
}

async function discoverAgain(server: string, issuer: string, signal: AbortSignal | undefined): Promise<Configuration> {
  try {
    return await discover(issuer, signal);
  } catch (error) {
    signal?.throwIfAborted();
    throw failure(server, error, issuerIn(error));
  }
}

async function discover(issuer: string, signal: AbortSignal | undefined): Promise<Configuration> {
  const isPlain = new URL(issuer).protocol === "http:";
  return discovery(new URL(issuer), CLIENT_ID, { [clockTolerance]: CLOCK_TOLERANCE_S }, None(), {
    [customFetch]: await createFetch(signal),
    timeout: TIMEOUT_S,
    // Only ever this machine: checkProtected.
    execute: isPlain ? [allowInsecureRequests, enableNonRepudiationChecks] : [enableNonRepudiationChecks],
  });
}

/** @throws {DuplexityError} `DPX_USAGE` for a server to which a token would go in the clear. */
export function checkProtected(server: string): void {
  const { protocol, hostname } = new URL(server);
  if (protocol === "https:" || isLoopbackHost(hostname) || hostname.endsWith(".localhost")) return;
  throw new DuplexityError(
    "DPX_USAGE",
    `Cannot sign in to ${server}: without TLS everybody on the way could read the token; wanted https://`,
    {
      hint: "On the server: duplexity serve --tls-cert FILE --tls-key FILE, or --public-url https://… behind a TLS terminator.",
    },
  );
}

/** The issuer that the server named instead of the one expected. */
function issuerIn(error: unknown): string | null {
  if (!(error instanceof ClientError) || error.code !== "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED") return null;
  const { issuer } = fieldsOf(fieldsOf(error.cause).body);
  return typeof issuer === "string" && URL.canParse(issuer) ? issuer : null;
}

/** `localhost` and `127.0.0.1` are one place, when the port is the same. */
function isSameHere(server: string, issuer: string): boolean {
  const [asked, answered] = [new URL(server), new URL(issuer)];
  const isSame = asked.protocol === answered.protocol && asked.port === answered.port;
  return (
    isSame &&
    isLoopbackHost(asked.hostname) &&
    isLoopbackHost(answered.hostname) &&
    issuer === `${answered.origin}${ISSUER_PATH}`
  );
}

function failure(server: string, error: unknown, issuer: string | null): DuplexityError {
  const doing = `sign in to ${server}`;
  if (issuer !== null) {
    const message = `Cannot ${doing}: it says that it is ${issuer.slice(0, 256)}, wanted ${server}${ISSUER_PATH}`;
    return new DuplexityError("DPX_SIGN_IN_FAILED", message, {
      hint: `Use the address by which the server knows itself: duplexity login ${new URL(issuer).origin}`,
      cause: error,
    });
  }
  const known = signInFailure(doing, server, error);
  if (known.code !== "DPX_SIGN_IN_FAILED") return known;
  return new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot ${doing}: no sign-in is offered there`, {
    hint: "Is that a duplexity server's own address? One with --no-auth needs no sign-in; for one with an admin token set DUPLEXITY_TOKEN.",
    cause: error,
  });
}
