// Calls one backend node: kept connections, a session that both sides prove themselves in, bounds in time and size. Says
// of a call that failed whether it may have been done.

import { errors, Pool } from "undici";
import { asDuplexityError, DuplexityError, type ErrorCode, fields, isErrorCode } from "../../protocol/index.ts";
import type { NodeTls } from "../node-tls.ts";
import { WorkQueue } from "../work-queue.ts";
import { type CallExchange, isSameProof, proofOfAnswer, proofOfCall, sessionKeyOf } from "./call-proof.ts";
import { newWord } from "./call-sessions.ts";
import {
  ANSWER_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  type Lane,
  MAX_ANSWER_BYTES,
  MAX_CONNECTIONS,
  MAX_RUNNING,
  MAX_WAITING_CALLS,
} from "./limits.ts";
import { HEADERS, SESSION_PATH } from "./names.ts";

export interface CallClientOptions {
  /** `http(s)://host:port`, the internal listener of a backend node. */
  readonly origin: string;
  /** This node. */
  readonly nodeId: string;
  /** The cluster's secrets: the first is shown. */
  readonly secrets: readonly string[];
  /** What it shows the backend over https. @default nothing */
  readonly tls?: NodeTls | null;
}

/** No backend node that proves itself has answered: nobody knows what a `maybe` has done. */
export class CallFailure extends Error {
  readonly isSent: "maybe" | "no";

  constructor(cause: unknown, isSent: "maybe" | "no") {
    super(asDuplexityError(cause).message, { cause });
    this.isSent = isSent;
  }
}

/** The call was not sent: those before it at that backend node have had no answer. */
export class NotSent extends Error {}

/** An answer whose body is still to come. */
export interface OpenAnswer {
  readonly body: AsyncIterable<Buffer>;
}

interface Session {
  readonly id: string;
  readonly key: Buffer;
  calls: number;
}

/** Of what the network says before anything was sent. */
const NOT_SENT = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/;
/** Of what it says when a connection is gone. */
const CUT = /^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/;
/** Refusals before a proof: of who calls. */
const UNPROVEN: ReadonlySet<ErrorCode> = new Set(["DPX_AUTH_INVALID", "DPX_FORBIDDEN", "DPX_SESSION_UNKNOWN"]);
/** HTTP statuses of those that say so of the moment; all from 500 on, too, which a balancer says while no backend is there. */
const MAY_PASS: ReadonlySet<number> = new Set([408, 425, 429]);
const JSON_TYPE = { "content-type": "application/json" };

export class CallClient {
  readonly #options: CallClientOptions;
  #pool: Pool;
  /** Those whose last calls are under way. */
  readonly #left = new Set<Pool>();
  #session: Promise<Session> | null = null;
  readonly #turns: Readonly<Record<Lane, WorkQueue>> = {
    vital: turnsOf(MAX_RUNNING.vital),
    lookup: turnsOf(MAX_RUNNING.lookup),
    other: turnsOf(MAX_RUNNING.other),
  };

  constructor(options: CallClientOptions) {
    this.#options = options;
    this.#pool = poolOf(options);
  }

  get origin(): string {
    return this.#options.origin;
  }

  /**
   * Runs `work`, which calls, when its turn comes: a crowd that is answered one after another is not a backend that is silent.
   *
   * @param o.lane Whose crowd may be before it.
   * @param o.limitMs How long it may wait for its turn.
   * @throws {DuplexityError} `DPX_STORE` if its turn does not come in time, or too many wait already: it was not sent.
   * @throws {NotSent} after `dismiss`.
   */
  inTurn<T>(work: () => Promise<T>, o: { readonly lane: Lane; readonly limitMs: number }): Promise<T> {
    return this.#turns[o.lane].run(work, o.limitMs);
  }

  /** Whoever waits for a turn is not to wait here any longer. */
  dismiss(): void {
    const error = new NotSent(`${this.origin} has not answered those before`);
    for (const turns of Object.values(this.#turns)) turns.dismiss(error);
  }

  /**
   * What the backend node answers.
   *
   * @throws {CallFailure} when it does not answer; with a `DuplexityError` as its cause when whoever answers does not prove
   * to be one, `DPX_AUTH_INVALID` if either side does not know the other's secret.
   * @throws {DuplexityError} what it refuses the call with.
   */
  async call(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const text = JSON.stringify(body);
    return this.#inSession(async (session) => {
      const { number, headers } = this.#prove(session, path, text);
      const pool = this.#pool;
      const answer = await this.#send(path, { headers, body: text, signal });
      const received = await readText(answer.body).catch((error: unknown) => {
        this.#leaveCut(pool, error);
        throw new CallFailure(error, "maybe");
      });
      const { statusCode: status } = answer;
      const isProven = this.#isProven(session, answer.headers, { number, status, body: received });
      if (status !== 200) throw refusalIn({ status, body: received }, isProven, this.origin);
      if (!isProven) throw unproven(this.origin);
      return JSON.parse(received);
    }, signal);
  }

  /**
   * An answer that goes on for as long as both want.
   *
   * @throws as `call` does.
   */
  async open(path: string, signal: AbortSignal): Promise<OpenAnswer> {
    return this.#inSession(async (session) => {
      const { number, headers } = this.#prove(session, path, "{}");
      const answer = await this.#send(path, { headers, body: "{}", signal, isEndless: true });
      const { statusCode: status } = answer;
      if (status !== 200) {
        const body = await readText(answer.body);
        const isProven = this.#isProven(session, answer.headers, { number, status, body });
        throw refusalIn({ status, body }, isProven, this.origin);
      }
      if (this.#isProven(session, answer.headers, { number, status, body: "" })) return answer;
      // Its end is an error, which Node throws where nobody listens.
      answer.body.on("error", () => {}).destroy();
      throw unproven(this.origin);
    }, signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool, ...this.#left].map((pool) => pool.destroy()));
  }

  /** Once more when the other side has forgotten the session: it was started anew. */
  async #inSession<T>(work: (session: Session) => Promise<T>, signal: AbortSignal): Promise<T> {
    const begun = this.#begun();
    try {
      return await work(await unlessAborted(begun, signal));
    } catch (error) {
      if (!isForgotten(error)) throw error;
      if (this.#session === begun) this.#session = null;
      return work(await unlessAborted(this.#begun(), signal));
    }
  }

  #begun(): Promise<Session> {
    if (this.#session !== null) return this.#session;
    const begun = this.#begin().catch((error: unknown) => {
      if (this.#session === begun) this.#session = null;
      // Whatever was to be called was not.
      throw error instanceof CallFailure ? new CallFailure(error.cause, "no") : error;
    });
    this.#session = begun;
    return begun;
  }

  async #begin(): Promise<Session> {
    const { nodeId, secrets, origin } = this.#options;
    const nonce = newWord();
    const body = JSON.stringify({ nodeId, nonce });
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT_MS + CONNECT_TIMEOUT_MS);
    const answer = await this.#send(SESSION_PATH, { headers: JSON_TYPE, body, signal });
    const received = await readText(answer.body).catch((error: unknown) => {
      throw new CallFailure(error, "no");
    });
    const { statusCode: status } = answer;
    if (status !== 200) throw refusalIn({ status, body: received }, false, origin);
    const { exchange, session } = opened(received, { nodeId, nonce, origin });
    return { id: session, key: sessionKeyOf(secrets[0] ?? "", exchange), calls: 0 };
  }

  #prove(session: Session, path: string, body: string) {
    session.calls += 1;
    const number = session.calls;
    const proof = proofOfCall(session.key, { number, path, body });
    const shown = { [HEADERS.session]: session.id, [HEADERS.number]: String(number), [HEADERS.proof]: proof };
    return { number, headers: { ...JSON_TYPE, ...shown } };
  }

  async #send(
    path: string,
    o: {
      readonly headers: Record<string, string>;
      readonly body: string;
      readonly signal: AbortSignal;
      readonly isEndless?: true;
    },
  ) {
    const { headers, body, signal, isEndless } = o;
    const pool = this.#pool;
    try {
      const timeouts = isEndless === true ? { bodyTimeout: 0 } : {};
      return await pool.request({ path, method: "POST", headers, body, signal, ...timeouts });
    } catch (error) {
      this.#leaveCut(pool, error);
      throw new CallFailure(error, NOT_SENT.test(codeOf(error)) ? "no" : "maybe");
    }
  }

  /** What cuts one kept connection cuts the others, too, of which that may not be known yet: calls from now on take new ones. */
  #leaveCut(pool: Pool, error: unknown): void {
    if (pool !== this.#pool || !CUT.test(codeOf(error))) return;
    this.#pool = poolOf(this.#options);
    this.#left.add(pool);
    const gone = (): boolean => this.#left.delete(pool);
    pool.close().then(gone, gone);
  }

  #isProven(
    { key }: Session,
    headers: Record<string, string | string[] | undefined>,
    answer: Parameters<typeof proofOfAnswer>[1],
  ): boolean {
    const shown = headers[HEADERS.proof];
    return typeof shown === "string" && isSameProof(shown, proofOfAnswer(key, answer));
  }
}

function poolOf({ origin, tls }: CallClientOptions): Pool {
  return new Pool(origin, {
    connections: MAX_CONNECTIONS,
    connect: { timeout: CONNECT_TIMEOUT_MS, ...tls },
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
  });
}

function turnsOf(maxRunning: number): WorkQueue {
  const refusal = (): DuplexityError =>
    new DuplexityError(
      "DPX_STORE",
      `Cannot call the backend: ${maxRunning} calls are under way, and others wait for their turns before this one`,
      { hint: "Try again in a few seconds." },
    );
  return new WorkQueue({ maxRunning, maxWaiting: MAX_WAITING_CALLS, refusal });
}

/** Others may wait for the session as well: it is begun whoever gives up. */
async function unlessAborted(begun: Promise<Session>, signal: AbortSignal): Promise<Session> {
  let giveUp = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(new CallFailure(signal.reason, "no"));
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp);
  });
  try {
    return await Promise.race([begun, aborted]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new DuplexityError("DPX_MESSAGE_TOO_LARGE", `The answer has more than ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function opened(text: string, o: { readonly nodeId: string; readonly nonce: string; readonly origin: string }) {
  try {
    return readOpened(text, o.nodeId, o.nonce);
  } catch {
    throw strangeAnswer(o.origin, "what it answered is not a backend node's", "DPX_USAGE");
  }
}

function readOpened(text: string, nodeId: string, nodeNonce: string): { exchange: CallExchange; session: string } {
  const answer = fields.readObject(JSON.parse(text), "");
  const backendId = fields.field(answer, "nodeId", fields.readWord);
  const backendNonce = fields.field(answer, "nonce", fields.readWord);
  const session = fields.field(answer, "session", fields.readWord);
  return { session, exchange: { backendId, nodeId, backendNonce, nodeNonce } };
}

/** What a backend node says no with. Without a proof it is only believed that the call was not taken. */
function refusalIn(
  { status, body }: { readonly status: number; readonly body: string },
  isProven: boolean,
  origin: string,
): CallFailure | DuplexityError {
  const { code, message, hint } = readError(body);
  if (isProven) return new DuplexityError(code, message, { hint });
  if (UNPROVEN.has(code)) return new CallFailure(new DuplexityError(code, message, { hint }), "no");
  const may = status >= 500 || MAY_PASS.has(status);
  return strangeAnswer(origin, `it answered ${status}: ${message}`, may ? "DPX_STORE" : "DPX_USAGE");
}

/** @param code `DPX_USAGE`: whoever is there will not be a backend node in a moment either. */
function strangeAnswer(origin: string, why: string, code: "DPX_STORE" | "DPX_USAGE"): CallFailure {
  const failure = new DuplexityError(code, `Cannot call the backend at ${origin}: ${why}`, {
    hint: "Is that the --internal-listen address of a node with --roles backend, and of this version?",
  });
  return new CallFailure(failure, "no");
}

/** The other side was started anew. */
function isForgotten(error: unknown): boolean {
  const cause = error instanceof CallFailure ? error.cause : null;
  return cause instanceof DuplexityError && cause.code === "DPX_SESSION_UNKNOWN";
}

function readError(text: string): {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
} {
  try {
    const answer = fields.readObject(JSON.parse(text), "");
    const error = fields.field(answer, "error", fields.readObject);
    const code = fields.field(error, "code", fields.readWord);
    const message = fields.field(error, "message", fields.readProse);
    const { hint } = fields.optionalField(error, "hint", fields.readProse);
    return { code: isErrorCode(code) ? code : "DPX_INTERNAL", message, hint };
  } catch {
    return { code: "DPX_INTERNAL", message: "its answer is not ours", hint: undefined };
  }
}

function unproven(origin: string): CallFailure {
  const message = `Cannot trust the backend at ${origin}: it does not prove its answer`;
  const hint = "Give all nodes the same --cluster-secret-file.";
  return new CallFailure(new DuplexityError("DPX_AUTH_INVALID", message, { hint }), "maybe");
}

function codeOf(error: unknown): string {
  if (error instanceof errors.UndiciError) return error.code;
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
