// Whether this node should get work: it is not draining, its store answers, a request goes through its public listener, and
// other nodes do not reach another one in its place. Asked by load balancers all the time, so that an answer is good for a moment.

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import type { Store } from "../store/index.ts";

export interface ReadinessOptions {
  readonly isDraining: () => boolean;
  readonly store: Pick<Store, "get">;
  /** Whether the registry has answered within the last seconds. No I/O. */
  readonly isRegistryReachable: () => boolean;
  /** Rejects while other nodes reach another one in place of this. @default nobody looks */
  readonly checkOwnUrl?: () => Promise<void>;
  /** Where the public listener is; null before it is open. */
  readonly publicAddress: () => { readonly host: string; readonly port: number } | null;
  readonly isTls: boolean;
  /** The server's own hostname. */
  readonly domain: string;
  /** How long store and listener may take. @default 1_000 */
  readonly timeoutMs?: number;
  /** How long an answer is good for. @default 1_000 */
  readonly cacheMs?: number;
  /** Monotonic time in ms. @default performance.now */
  readonly now?: () => number;
}

/** Nothing is there: the answer alone is what counts. */
const PROBE_KEY = "ready-probe";
const ANSWER = "HTTP/1.1 ";

export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #store: () => Promise<void>;
  readonly #path: () => Promise<void>;
  readonly #ownUrl: () => Promise<void>;

  constructor(options: ReadinessOptions) {
    this.#options = options;
    const { timeoutMs = 1_000, cacheMs = 1_000, now = () => performance.now(), checkOwnUrl = async () => {} } = options;
    this.#store = remembered(() => inTime(this.#askStore(), timeoutMs, "DPX_STORE"), cacheMs, now);
    this.#path = remembered(() => inTime(this.#visit(timeoutMs), timeoutMs, "DPX_SERVER_UNREACHABLE"), cacheMs, now);
    this.#ownUrl = remembered(checkOwnUrl, cacheMs, now);
  }

  /**
   * Resolves when all is well. Many who ask at once cause one look.
   *
   * @param options.ignoreStore What is known can be served without it, for a while.
   * @throws {DuplexityError} `DPX_DRAINING`, `DPX_STORE`, `DPX_SERVER_UNREACHABLE` when the public listener is not, or what
   * `checkOwnUrl` throws.
   */
  async check(options: { readonly ignoreStore?: boolean } = {}): Promise<void> {
    this.#checkDraining();
    await Promise.all([options.ignoreStore === true ? null : this.#store(), this.#path(), this.#ownUrl()]);
    // It may have begun meanwhile.
    this.#checkDraining();
  }

  #checkDraining(): void {
    if (this.#options.isDraining()) throw new DuplexityError("DPX_DRAINING", "This node takes no new work");
  }

  async #askStore(): Promise<void> {
    if (!this.#options.isRegistryReachable()) throw new DuplexityError("DPX_STORE", "The registry does not answer");
    try {
      await this.#options.store.get(PROBE_KEY);
    } catch (cause) {
      throw new DuplexityError("DPX_STORE", `The store fails: ${asDuplexityError(cause).message}`, { cause });
    }
  }

  /** A request for the server itself, over its own listener: whatever it answers, the way there is open. */
  #visit(timeoutMs: number): Promise<void> {
    const address = this.#options.publicAddress();
    if (address === null) return Promise.reject(unreachable("it is not open"));
    return new Promise((resolve, reject) => {
      const socket = this.#connect(address);
      let received = "";
      socket.setTimeout(timeoutMs, () => socket.destroy());
      socket.setEncoding("latin1").on("data", (text: string) => {
        received += text;
        if (received.length < ANSWER.length) return;
        if (received.startsWith(ANSWER)) resolve();
        socket.destroy();
      });
      socket.once("error", ({ message }) => reject(unreachable(message)));
      socket.once("close", () => reject(unreachable("the connection ended without an answer")));
      socket.write(`GET / HTTP/1.1\r\nHost: ${this.#options.domain}\r\nConnection: close\r\n\r\n`);
    });
  }

  #connect({ host, port }: { readonly host: string; readonly port: number }): Socket {
    const { isTls, domain } = this.#options;
    if (!isTls) return connectTcp({ host, port });
    // Who answers is known; the certificate may be for names that this machine's own address is not.
    return connectTls({ host, port, rejectUnauthorized: false, ...(isIP(domain) === 0 ? { servername: domain } : {}) });
  }
}

function unreachable(why: string): DuplexityError {
  return new DuplexityError("DPX_SERVER_UNREACHABLE", `The public listener does not answer: ${why}`);
}

/** `work`'s outcome, or a refusal after `timeoutMs`. */
async function inTime(
  work: Promise<void>,
  timeoutMs: number,
  code: "DPX_STORE" | "DPX_SERVER_UNREACHABLE",
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    const who = code === "DPX_STORE" ? "store" : "public listener";
    const late = new DuplexityError(code, `The ${who} does not answer within ${timeoutMs} ms`);
    timer = setTimeout(() => reject(late), timeoutMs);
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs `work` once for all who ask while it runs and for `cacheMs` after. */
function remembered(work: () => Promise<void>, cacheMs: number, now: () => number): () => Promise<void> {
  let running: Promise<void> | null = null;
  let endsAt = 0;
  return () => {
    if (running !== null && now() < endsAt) return running;
    endsAt = Number.POSITIVE_INFINITY;
    const begun = work();
    const done = (): void => {
      endsAt = now() + cacheMs;
    };
    begun.then(done, done);
    running = begun;
    return begun;
  };
}
