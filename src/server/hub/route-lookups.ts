// Asks the registry for names that the route table does not know, or has not heard of for long: each name once at a
// time, and one that nobody holds not again for a while. Keeps no route.

import { DuplexityError } from "../../protocol/index.ts";
import type { Registry, RegistryRecord } from "../backend/registry.ts";

export interface RouteLookupsOptions {
  readonly registry: Pick<Registry, "locate">;
  /** What the registry answered. */
  onAnswer(hostname: string, record: RegistryRecord | null): void;
  /** Monotonic time in ms. @default performance.now */
  readonly now?: () => number;
}

/** For so long a name that nobody holds is not asked for again; whoever registers it is told of at once. */
const UNKNOWN_MS = 1_000;
/** Names that are known to be nobody's. Beyond, the one that was asked for longest ago is forgotten. */
const MAX_UNKNOWN = 10_000;
/** Names that are asked for at once. Whose those beyond are, nobody says for now. */
export const MAX_ASKED = 1_000;
const RETRY_AFTER_MS = 1_000;

export class RouteLookups {
  readonly #options: RouteLookupsOptions;
  readonly #now: () => number;
  readonly #asked = new Map<string, Promise<void>>();
  /** When each was found to be nobody's. */
  readonly #unknown = new Map<string, number>();

  constructor(options: RouteLookupsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /**
   * Asks for a name, or waits for who asked for it already. Null: it is known to be nobody's.
   *
   * @throws {DuplexityError} the promise rejects: what the registry says; `DPX_STORE` if `MAX_ASKED` names are asked for.
   */
  ask(hostname: string): Promise<void> | null {
    const asked = this.#asked.get(hostname);
    if (asked !== undefined) return asked;
    const since = this.#unknown.get(hostname);
    if (since !== undefined && this.#now() - since < UNKNOWN_MS) return null;
    if (this.#asked.size >= MAX_ASKED) return Promise.reject(tooMany(hostname));
    const answered = this.#ask(hostname).finally(() => this.#asked.delete(hostname));
    this.#asked.set(hostname, answered);
    return answered;
  }

  /** The registry has told of it unasked. */
  heard(hostname: string): void {
    this.#unknown.delete(hostname);
  }

  async #ask(hostname: string): Promise<void> {
    const record = await this.#options.registry.locate(hostname);
    if (record === null) {
      this.#unknown.delete(hostname);
      this.#unknown.set(hostname, this.#now());
      for (const oldest of this.#unknown.keys()) {
        if (this.#unknown.size <= MAX_UNKNOWN) break;
        this.#unknown.delete(oldest);
      }
    }
    this.#options.onAnswer(hostname, record);
  }
}

function tooMany(hostname: string): DuplexityError {
  const message = `Cannot look up "${hostname}": ${MAX_ASKED} names are being looked up already`;
  return new DuplexityError("DPX_STORE", message, {
    hint: "Try again in a few seconds.",
    retryAfterMs: RETRY_AFTER_MS,
  });
}
