// A node's way to the backend, whichever of its nodes answers: calls, tried at another address where that is safe, and
// the stream of what the backend tells unasked, begun anew when it ends. Knows no registry and no store.

import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { errors } from "undici";
import { asDuplexityError, Deadline, DuplexityError } from "../../protocol/index.ts";
import { CallClient, type CallClientOptions, CallFailure, NotSent } from "./call-client.ts";
import { readEvents } from "./event-lines.ts";
import {
  ANSWER_TIMEOUT_MS,
  CALL_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  type Lane,
  MAX_RUNNING_CALLS,
  MIN_TURN_MS,
  SILENCE_MS,
} from "./limits.ts";
import { type BackendEvent, CALLS_PATH, type CallName, EVENTS_PATH } from "./names.ts";

export interface BackendLinkOptions extends Omit<CallClientOptions, "origin"> {
  /** Internal listeners of backend nodes, `http(s)://host:port`. */
  readonly origins: readonly string[];
  /** How long `open` tries. @default 2_000 */
  readonly openTimeoutMs?: number;
  /** Told when the backend cannot be heard, and when it is again. */
  readonly warn: (message: string) => void;
}

export interface CallOptions {
  /** Whether doing it twice is the same as once: else it is never sent again once it may have arrived. @default true */
  readonly isRepeatable?: boolean;
}

interface Call {
  readonly path: string;
  readonly body: unknown;
  readonly isRepeatable: boolean;
  readonly lane: Lane;
  /** As `performance.now()` has it. */
  readonly endsAt: number;
}

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;
/** What TLS says to a listener that does not speak it. */
const NO_TLS = /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/;
const ADDRESS_HINT = "Is that the --internal-listen of a node with --roles backend, with http or https as it has it?";
/** A frozen backend node is given up after this, and the next one is asked. */
const ATTEMPT_MS = CONNECT_TIMEOUT_MS + ANSWER_TIMEOUT_MS;

export class BackendLink {
  readonly #options: BackendLinkOptions;
  /** The one that is asked first at the front: who fails goes to the end. */
  readonly #clients: CallClient[];
  readonly #listeners = new Set<(event: BackendEvent) => void>();
  readonly #gapListeners = new Set<() => void>();
  readonly #life = new AbortController();
  #isUp = false;
  #lostAt = Number.NEGATIVE_INFINITY;
  #hasHeard = false;
  #hasWarned = false;

  private constructor(options: BackendLinkOptions) {
    this.#options = options;
    const { origins, ...own } = options;
    // One for each call, and one for the stream.
    setMaxListeners(origins.length * MAX_RUNNING_CALLS + 1, this.#life.signal);
    this.#clients = shuffled(origins).map((origin) => new CallClient({ ...own, origin }));
  }

  /**
   * Resolves when the backend can be heard.
   *
   * @throws {DuplexityError} `DPX_STORE` if it cannot within `openTimeoutMs`; at once what no wait mends: `DPX_AUTH_INVALID`
   * if it has another secret, `DPX_FORBIDDEN` if it wants a certificate, `DPX_USAGE` if what is there is no backend node.
   */
  static async open(options: BackendLinkOptions): Promise<BackendLink> {
    const link = new BackendLink(options);
    let timer: NodeJS.Timeout | undefined;
    let last: DuplexityError | null = null;
    try {
      await new Promise<void>((resolve, reject) => {
        const { openTimeoutMs = 2_000 } = options;
        timer = setTimeout(() => reject(last ?? unreachable("no node of it has answered")), openTimeoutMs);
        void link.#listen({
          onHeard: resolve,
          onFailed: (error) => {
            last = error;
            if (error.code !== "DPX_STORE") reject(error);
          },
        });
      });
      return link;
    } catch (error) {
      await link.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether the backend is heard, or was a moment ago: its other nodes may answer already. */
  get isUp(): boolean {
    return this.#isUp || performance.now() - this.#lostAt < SILENCE_MS;
  }

  /**
   * What the backend answers.
   *
   * @throws {DuplexityError} what it refuses the call with; `DPX_STORE` when no node of it answers.
   */
  async call(name: CallName, body: unknown, options: CallOptions = {}): Promise<unknown> {
    const endsAt = performance.now() + CALL_TIMEOUT_MS;
    const { isRepeatable = true } = options;
    return this.#call({ path: `${CALLS_PATH}/${name}`, body, isRepeatable, lane: laneOf(name), endsAt });
  }

  onEvent(listener: (event: BackendEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` when it is heard again, after a time without. */
  onGap(listener: () => void): () => void {
    this.#gapListeners.add(listener);
    return () => this.#gapListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#life.abort(unreachable("this node is closing"));
    this.#listeners.clear();
    this.#gapListeners.clear();
    for (const client of this.#clients) client.dismiss();
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  async #call(call: Call): Promise<unknown> {
    let failure: DuplexityError | null = null;
    // A single one twice: it may have ended a kept connection in the very moment.
    const attempts = Math.max(2, this.#clients.length);
    let attempt = 0;
    while (attempt < attempts && !this.#life.signal.aborted) {
      const [client] = this.#clients;
      const limitMs = call.endsAt - performance.now() - MIN_TURN_MS;
      if (client === undefined || limitMs <= 0) break;
      try {
        return await client.inTurn(() => this.#attempt(client, call), { lane: call.lane, limitMs });
      } catch (error) {
        if (error instanceof NotSent) {
          failure ??= unreachable(error.message);
          continue;
        }
        attempt += 1;
        if (error instanceof DuplexityError && error.code !== "DPX_DRAINING") throw error;
        failure = unreachable(`${client.origin}: ${asDuplexityError(error).message}`, error);
        if (error instanceof CallFailure && error.isSent === "maybe" && !call.isRepeatable) break;
      }
    }
    throw failure ?? unreachable("no node of it has answered");
  }

  async #attempt(client: CallClient, { path, body, endsAt }: Call): Promise<unknown> {
    const leftMs = Math.ceil(Math.min(ATTEMPT_MS, endsAt - performance.now()));
    const deadline = new Deadline(leftMs, this.#life.signal, () => unreachable(`no answer within ${leftMs} ms`));
    try {
      return await client.call(path, body, deadline.signal);
    } catch (error) {
      // One that had too little time says nothing of the backend node.
      const isJust = leftMs >= ANSWER_TIMEOUT_MS || !deadline.signal.aborted;
      if (isJust && isOfNode(error)) this.#putBack(client);
      if (isJust && error instanceof CallFailure) this.#dismiss(client);
      throw error;
    } finally {
      deadline.clear();
    }
  }

  /** For as long as this node lives: never rejects. */
  async #listen(o: { onHeard: () => void; onFailed: (error: DuplexityError) => void }): Promise<void> {
    const { signal } = this.#life;
    for (let failures = 0; !signal.aborted; failures += 1) {
      const [client] = this.#clients;
      if (client === undefined) return;
      try {
        await this.#hear(client, () => {
          failures = 0;
          o.onHeard();
        });
      } catch (error) {
        o.onFailed(outOfReach(error, client.origin));
        // The next address may answer at once: only what goes on is worth a word.
        if (failures === 1 && this.#hasHeard && !signal.aborted) this.#warn(outOfReach(error, client.origin).message);
      }
      if (this.#isUp) this.#lostAt = performance.now();
      this.#isUp = false;
      this.#putBack(client);
      this.#dismiss(client);
      const waitMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures, 10), MAX_RETRY_MS);
      await delay(waitMs * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** Hears one backend node until it ends or falls silent. */
  async #hear(client: CallClient, onHeard: () => void): Promise<void> {
    const silence = new Deadline(SILENCE_MS, this.#life.signal, () =>
      unreachable(`${client.origin} has fallen silent`),
    );
    try {
      const { body } = await client.open(EVENTS_PATH, silence.signal);
      for await (const event of readEvents(body, () => silence.refresh())) {
        if (event === null) {
          if (!this.#isUp) this.#heard(onHeard);
        } else if (event.type === "gap") this.#tellGap();
        else for (const listener of [...this.#listeners]) listener(event);
      }
    } finally {
      silence.clear();
    }
  }

  /** Nothing is missed from now on. */
  #heard(onHeard: () => void): void {
    this.#isUp = true;
    this.#hasHeard = true;
    onHeard();
    if (this.#hasWarned) this.#options.warn("The backend can be reached again");
    this.#hasWarned = false;
    this.#tellGap();
  }

  #tellGap(): void {
    for (const listener of [...this.#gapListeners]) listener();
  }

  #warn(message: string): void {
    this.#hasWarned = true;
    this.#options.warn(message);
  }

  #putBack(client: CallClient): void {
    if (this.#clients[0] !== client) return;
    this.#clients.shift();
    this.#clients.push(client);
  }

  /** Those who wait for their turns there need not wait for the answers that do not come, where there is another one. */
  #dismiss(client: CallClient): void {
    if (this.#clients.length > 1) client.dismiss();
  }
}

function laneOf(name: CallName): Lane {
  if (name === "beat" || name === "renew") return "vital";
  return name === "locate" ? "lookup" : "other";
}

/** Whether it is the backend node that cannot, and not the call that is refused. */
function isOfNode(error: unknown): boolean {
  return !(error instanceof DuplexityError) || error.code === "DPX_DRAINING" || error.code === "DPX_STORE";
}

function outOfReach(error: unknown, origin: string): DuplexityError {
  const why = error instanceof CallFailure ? error.cause : error;
  if (why instanceof DuplexityError) return why;
  const unspoken = unspokenIn(why);
  if (unspoken === null) return unreachable(`${origin}: ${asDuplexityError(why).message}`, error);
  return unreachable(`${origin}: what listens there does not speak ${unspoken}`, error, "DPX_USAGE");
}

/** What somebody who was reached does not speak; null: nobody was, or nobody knows. */
function unspokenIn(error: unknown): "https" | "HTTP" | null {
  if (error instanceof errors.HTTPParserError) return "HTTP";
  return error instanceof Error && "code" in error && NO_TLS.test(String(error.code)) ? "https" : null;
}

function unreachable(why: string, cause?: unknown, code: "DPX_STORE" | "DPX_USAGE" = "DPX_STORE"): DuplexityError {
  return new DuplexityError(code, `Cannot reach the backend: ${why}`, { cause, hint: ADDRESS_HINT });
}

/** So that nodes spread over the backend's. */
function shuffled(origins: readonly string[]): readonly string[] {
  return origins
    .map((origin) => ({ origin, at: Math.random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ origin }) => origin);
}
