// How sign-ins reach a server over HTTP: through the proxy that the environment asks for, with answers of bounded size,
// and with the server's own refusals as what they are.

import type { CustomFetch } from "openid-client";
import { refusalIn } from "../api-answer.ts";

/** Discovery, keys and tokens are a few kilobytes. */
const MAX_ANSWER_BYTES = 1_048_576;
/** A connection is not worth keeping for the next renewal. */
const KEEP_ALIVE_MS = 1_000;

/**
 * `fetch` for openid-client. Throws a DuplexityError where the server has answered one.
 *
 * @param life Gives up whatever is asked; openid-client's own signal is one request's time.
 */
export async function createFetch(life?: AbortSignal): Promise<CustomFetch> {
  const { EnvHttpProxyAgent, fetch } = await import("undici");
  const dispatcher = new EnvHttpProxyAgent({ maxResponseSize: MAX_ANSWER_BYTES, keepAliveTimeout: KEEP_ALIVE_MS });
  return async (url, { method, headers, redirect, signal: time, body }) => {
    const signals = [life, time].filter((each) => each !== undefined);
    const signal = AbortSignal.any(signals);
    const text = body instanceof URLSearchParams ? body.toString() : null;
    const answer = await fetch(url, { method, headers, redirect, signal, body: text, dispatcher });
    const content = await answer.text();
    const refusal = answer.ok ? null : refusalIn(content);
    if (refusal !== null) throw refusal;
    // Node's own Response, of which undici's is another class.
    return new Response(content === "" ? null : content, { status: answer.status, headers: [...answer.headers] });
  };
}
