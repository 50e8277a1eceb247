// What can go wrong between this machine and a server's sign-in, in our words. Signs nobody in.

import { AuthorizationResponseError, ClientError, ResponseBodyError } from "openid-client";
import { dialFailure } from "../../client/index.ts";
import { DuplexityError } from "../../protocol/errors.ts";
import { cut, escapeControls } from "../output/format.ts";

/** More of what the other side says is not shown. */
const MAX_SHOWN_CHARS = 300;

/** Of a `slow` or `broken` server: what may pass. */
const MAY_PASS = new Set(["server_error", "temporarily_unavailable"]);

/**
 * @param doing `sign in to https://tunnel.example.com`
 */
export function signInFailure(doing: string, server: string, error: unknown): DuplexityError {
  const known = within(error);
  if (known !== null) return known;
  if (error instanceof ResponseBodyError || error instanceof AuthorizationResponseError) {
    const words = sentenceOf(error.error, error.error_description);
    const status = error instanceof ResponseBodyError ? error.status : 0;
    if (error instanceof ResponseBodyError && status === 429) {
      const seconds = error.response.headers.get("retry-after") ?? "";
      const hint = /^\d{1,6}$/.test(seconds) ? `Try again in ${seconds} s.` : undefined;
      return new DuplexityError("DPX_RATE_LIMIT", `Cannot ${doing}: ${words}`, { hint, cause: error });
    }
    if (status >= 500 || MAY_PASS.has(error.error)) {
      return new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot ${doing}: the server failed: ${words}`, {
        cause: error,
      });
    }
    return new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot ${doing}: ${words}`, { cause: error });
  }
  if (error instanceof ClientError) return clientFailure(doing, server, error);
  // What the network says: `fetch` throws a TypeError with the cause in it.
  return dialFailure(server, error);
}

function clientFailure(doing: string, server: string, error: ClientError): DuplexityError {
  const fail = (why: string, hint?: string) =>
    new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot ${doing}: ${why}`, { hint, cause: error });
  switch (error.code) {
    case "OAUTH_TIMEOUT":
      return new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot reach ${server}: it did not answer in time`, {
        cause: error,
      });
    case "OAUTH_JWT_TIMESTAMP_CHECK_FAILED":
      return fail("the token that came is of another time than now", "Is this machine's clock right?");
    case "OAUTH_RESPONSE_IS_NOT_CONFORM":
    case "OAUTH_RESPONSE_IS_NOT_JSON":
    case "OAUTH_PARSE_ERROR": {
      const status = error.cause instanceof Response ? ` (${error.cause.status})` : "";
      if (error.cause instanceof Response && error.cause.status >= 500) {
        return new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot ${doing}: the server failed${status}`, {
          cause: error,
        });
      }
      return fail(`the server's answer was not a sign-in's${status}`);
    }
    default: {
      const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
      return fail(shown(`${error.message}${cause}`));
    }
  }
}

/** Our own error, however deep the library has packed it. */
function within(error: unknown): DuplexityError | null {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each instanceof DuplexityError) return each;
  }
  return null;
}

/** `access_denied` and the like as a sentence; the other side's own words behind it, made safe to show. */
export function sentenceOf(error: string, description: string | undefined): string {
  const more = description === undefined || description === "" ? "" : `: ${description}`;
  return shown(error === "access_denied" ? `it was refused${more}` : `${error}${more}`);
}

function shown(text: string): string {
  return cut(escapeControls(text), MAX_SHOWN_CHARS);
}
