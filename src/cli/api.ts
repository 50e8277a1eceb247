// Asks a server's JSON API on behalf of a command: one request, bounded in time and size, with failures in our words.

import { authorizationFor, dialFailure } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { type Fields, fieldsOf, jsonIn, refusalIn } from "./api-answer.ts";
import { explain, type ServerAccess } from "./dial.ts";

const TIMEOUT_MS = 10_000;
/** A longer answer is refused: 10,000 clients of ten pipes fit. */
const MAX_ANSWER_BYTES = 33_554_432;

export interface ApiRequest {
  /** `/api/users` */
  readonly path: string;
  /** Left out: GET. */
  readonly body?: Fields;
  /** For messages: `add "ben"`. */
  readonly doing: string;
  /** For what the server itself waits for. @default 10_000 */
  readonly timeoutMs?: number;
  /** Gives it up. */
  readonly signal?: AbortSignal;
}

/**
 * The answer's fields.
 *
 * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE`; `DPX_PROTOCOL` when it is no duplexity server's answer; what the
 * server refuses it with.
 */
export async function callApi(access: ServerAccess, request: ApiRequest): Promise<Fields> {
  const { status, text } = await send(access, request).catch((error: unknown) => {
    throw explain(dialFailure(access.server, error), access);
  });
  if (status !== 200 && status !== 201) {
    throw explain(refusalIn(text) ?? notOurs(access, request, `it answered ${status}`), access);
  }
  const content = jsonIn(text);
  const isAnswer = fieldsOf(content).v === 1;
  if (!isAnswer) {
    const what =
      content === undefined ? `it answered ${status} with something that is not JSON` : "its answer is not ours";
    throw notOurs(access, request, what);
  }
  return fieldsOf(content);
}

/** For an answer that lacks what was asked for. */
export function notOurs(access: ServerAccess, { doing }: ApiRequest, what: string): DuplexityError {
  return new DuplexityError("DPX_PROTOCOL", `Cannot ${doing} at ${access.server}: ${what}`, {
    hint: "Is that a duplexity server, and of this version?",
  });
}

async function send(access: ServerAccess, { path, body, timeoutMs = TIMEOUT_MS, signal }: ApiRequest) {
  const { EnvHttpProxyAgent, request } = await import("undici");
  const url = new URL(path, access.server);
  const method = body === undefined ? "GET" : "POST";
  const proven = new URL(url.pathname, url);
  const authorization = await authorizationFor({ url: proven, method, token: access.token, key: access.key, signal });
  // The agent honours HTTP(S)_PROXY and NO_PROXY, as `up` does.
  const dispatcher = new EnvHttpProxyAgent({ maxResponseSize: MAX_ANSWER_BYTES });
  const answer = await request(url, {
    method,
    headers: { authorization, accept: "application/json", ...(body && { "content-type": "application/json" }) },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])]),
    dispatcher,
  });
  return { status: answer.statusCode, text: await answer.body.text() };
}
