// Takes the calls of other nodes on the internal listener: opens their sessions, looks at their proofs, has each call
// done and proves the answer. Knows no call by itself.

import type { IncomingMessage, ServerResponse } from "node:http";
import { asDuplexityError, DuplexityError, ERRORS, fields } from "../../protocol/index.ts";
import { errorBody } from "../http-answer.ts";
import { HttpRefusal, readFields, refusal } from "../json-body.ts";
import { proofOfAnswer } from "./call-proof.ts";
import { type Caller, CallSessions, type CallSessionsOptions } from "./call-sessions.ts";
import { EventStreams } from "./event-streams.ts";
import { MAX_CALL_BYTES, MAX_SESSION_BYTES, MAX_UNPROVEN_BYTES } from "./limits.ts";
import { type CallHandlers, EVENTS_PATH, type EventSource, HEADERS, SESSION_PATH } from "./names.ts";

export interface CallServerOptions extends CallSessionsOptions {
  /** What can be called, by name. */
  readonly handlers: CallHandlers;
  /** What nodes that listen are told. */
  readonly events: EventSource;
}

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
}

export class CallServer {
  readonly #options: CallServerOptions;
  readonly #sessions: CallSessions;
  readonly #streams: EventStreams;
  /** Bodies of calls that nobody has proved yet. */
  #unprovenBytes = 0;
  /** Calls that are being done. */
  #running = 0;
  #isDraining = false;
  #onIdle: () => void = () => {};

  constructor(options: CallServerOptions) {
    this.#options = options;
    this.#sessions = new CallSessions(options);
    this.#streams = new EventStreams(options.events);
  }

  /** Answers a request below `/node/`, whatever it is. */
  async handle(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const asked = { request, response, path };
    try {
      if (request.method !== "POST") throw refusal(405, `${path} does not take ${request.method}, only POST`);
      if (path === SESSION_PATH) await this.#open(asked);
      else await this.#call(asked);
    } catch (error) {
      if (response.headersSent || response.destroyed) response.destroy();
      else if (error instanceof HttpRefusal) send(response, { status: error.status, body: errorBody(error.error) });
      else sendError(response, asDuplexityError(error), null);
    }
  }

  /** From now on calls are refused, so that nodes turn to others; resolves when those that run are done. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#streams.close();
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  close(): void {
    this.#isDraining = true;
    this.#streams.close();
  }

  async #open({ request, response }: Asked): Promise<void> {
    const wanted = readFields(jsonOf(await readBody(request, MAX_SESSION_BYTES)), (body) => ({
      nodeId: fields.field(body, "nodeId", fields.readWord),
      nonce: fields.field(body, "nonce", fields.readWord),
    }));
    const { session, nonce } = this.#sessions.open(wanted.nodeId, wanted.nonce);
    send(response, { status: 200, body: JSON.stringify({ nodeId: this.#options.nodeId, session, nonce }) });
  }

  async #call({ request, response, path }: Asked): Promise<void> {
    const session = headerOf(request, HEADERS.session);
    const proof = headerOf(request, HEADERS.proof);
    const number = Number(headerOf(request, HEADERS.number));
    // Before its body is read: anybody can send one.
    if (!this.#sessions.has(session)) {
      throw new DuplexityError("DPX_SESSION_UNKNOWN", "Cannot take the call: its session is unknown here");
    }
    if (!Number.isSafeInteger(number) || number < 1) throw refusal(400, "it has no number");
    const isProven = this.#sessions.isProven(session);
    const body = await (isProven ? readBody(request, MAX_CALL_BYTES) : this.#readUnproven(request));
    const caller = this.#sessions.check({ session, proof, number, path, body });
    const proofs = { ...caller, number };
    if (this.#isDraining) {
      sendError(response, new DuplexityError("DPX_DRAINING", "This backend node takes no new work"), proofs);
      return;
    }
    if (path === EVENTS_PATH) {
      await this.#streams.open(caller.nodeId, response, () => this.#answerHead(proofs));
      return;
    }
    await this.#run(path, { body, response, proofs });
  }

  async #readUnproven(request: IncomingMessage): Promise<string> {
    let ownBytes = 0;
    try {
      return await readBody(request, MAX_CALL_BYTES, (bytes) => {
        ownBytes += bytes;
        this.#unprovenBytes += bytes;
        if (this.#unprovenBytes <= MAX_UNPROVEN_BYTES) return;
        throw new DuplexityError(
          "DPX_LIMIT",
          `Cannot take the call: ${MAX_UNPROVEN_BYTES} bytes without a proof are here`,
        );
      });
    } finally {
      this.#unprovenBytes -= ownBytes;
    }
  }

  async #run(path: string, to: { body: string; response: ServerResponse; proofs: Proofs }): Promise<void> {
    const { body, response, proofs } = to;
    this.#running += 1;
    try {
      const handler = this.#options.handlers.get(path.slice("/node/".length));
      if (handler === undefined) throw new DuplexityError("DPX_REQUEST_INVALID", `There is no call ${path}`);
      const answer = await readFields(jsonOf(body), (content) => handler(content, proofs.nodeId));
      sendProven(response, { status: 200, body: JSON.stringify(answer ?? null) }, proofs);
    } catch (error) {
      sendError(response, asDuplexityError(error), proofs);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#onIdle();
    }
  }

  #answerHead({ key, number }: Proofs): Record<string, string> {
    return { [HEADERS.proof]: proofOfAnswer(key, { number, status: 200, body: "" }) };
  }
}

interface Proofs extends Caller {
  readonly number: number;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function sendError(response: ServerResponse, error: DuplexityError, proofs: Proofs | null): void {
  const answer = { status: ERRORS[error.code].httpStatus, body: errorBody(error) };
  if (proofs === null) send(response, answer);
  else sendProven(response, answer, proofs);
}

function sendProven(response: ServerResponse, { status, body }: Answer, { key, number }: Proofs): void {
  response.setHeader(HEADERS.proof, proofOfAnswer(key, { number, status, body }));
  send(response, { status, body });
}

/** The connection is kept: the next call comes over it. */
function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, {
    "Cache-Control": "no-store",
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
}

/** @param onBytes Told of each piece; what it throws ends the request. */
async function readBody(
  request: IncomingMessage,
  maxBytes: number,
  onBytes: (bytes: number) => void = () => {},
): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > maxBytes) throw refusal(413, `its body has more than ${maxBytes} bytes`);
    onBytes(chunk.length);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new DuplexityError("DPX_REQUEST_INVALID", "Cannot take the call: its body is not JSON");
  }
}

function headerOf({ headers }: IncomingMessage, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : "";
}
