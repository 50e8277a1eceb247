// Goes where a hub sends a client that it does not take itself, a few times at most. What is tried there is not its business.

import { asDuplexityError } from "../protocol/index.ts";
import type { Servers } from "./servers.ts";

/** So often a client goes where it is sent before it waits. */
const MAX_REDIRECTS = 3;

/**
 * Makes `attempt` at the present server, and at those that it is sent to. Answers what the one that succeeds does.
 *
 * @param attempt Told how often it was sent elsewhere.
 * @throws {DuplexityError} What the last attempt threw.
 */
export async function followRedirects<T>(
  servers: Servers,
  signal: AbortSignal,
  attempt: (redirects: number) => Promise<T>,
): Promise<T> {
  const first = servers.current;
  for (let redirects = 0; ; redirects += 1) {
    try {
      return await attempt(redirects);
    } catch (error) {
      const failure = asDuplexityError(error);
      if (redirects < MAX_REDIRECTS && servers.redirect(failure.elsewhere)) continue;
      // Where it was sent to there is nobody any more: who sent it has to take it, or to say when it does.
      const isLost = redirects > 0 && redirects <= MAX_REDIRECTS && failure.code === "DPX_SERVER_UNREACHABLE";
      if (!isLost || signal.aborted) throw error;
      servers.use(first);
      redirects = MAX_REDIRECTS;
    }
  }
}
