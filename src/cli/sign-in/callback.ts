// The loopback end of a sign-in in the browser (RFC 8252 §7.3): a listener on a random port of this machine, open for one
// login, that takes one answer and hands it over. Knows no provider; what the answer is worth is judged elsewhere.

import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { DuplexityError } from "../../protocol/errors.ts";
import { answerPage } from "./callback-page.ts";

const HOST = "127.0.0.1";
const PATH = "/callback";
/** A code, a state and an issuer are some hundred bytes; Node answers 431 to more. */
const MAX_HEAD_BYTES = 16_384;
const REQUEST_TIMEOUT_MS = 5_000;
/** A browser opens a few at once. */
const MAX_CONNECTIONS = 16;
/** For the last page to reach the browser. */
const CLOSE_TIMEOUT_MS = 1_000;

/** How the sign-in went, for the page that the browser shows. */
export type CallbackOutcome = { readonly isSignedIn: true } | { readonly isSignedIn: false; readonly why: string };

export class CallbackListener {
  readonly #server: Server;
  readonly #state: string;
  #port = 0;
  /** The answer that was taken; the browser waits for its page. */
  #taken: ServerResponse | null = null;
  readonly #answer: Promise<URL>;
  #resolve: (url: URL) => void = () => {};

  private constructor(state: string) {
    this.#state = state;
    this.#answer = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#server = createServer(
      { maxHeaderSize: MAX_HEAD_BYTES, headersTimeout: REQUEST_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => this.#serve(request, response),
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * @param state What the answer must bring back: anything else is somebody else's page that knocks here.
   * @throws {DuplexityError} `DPX_LISTEN` if no port can be opened.
   */
  static async open(state: string): Promise<CallbackListener> {
    const listener = new CallbackListener(state);
    await listener.#listen();
    return listener;
  }

  /** Where the provider is to send the browser. */
  get redirectUri(): string {
    return `http://${HOST}:${this.#port}${PATH}`;
  }

  /**
   * The one answer, as the address that the browser was sent to.
   *
   * @throws What `signal` aborts with.
   */
  async answer(signal: AbortSignal): Promise<URL> {
    return new Promise((resolve, reject) => {
      const give = () => reject(signal.reason);
      if (signal.aborted) give();
      else signal.addEventListener("abort", give, { once: true });
      void this.#answer.then((url) => {
        signal.removeEventListener("abort", give);
        resolve(url);
      });
    });
  }

  /** Shows the browser how it went, and takes nothing more. */
  async close(outcome: CallbackOutcome): Promise<void> {
    const page = this.#taken;
    if (page !== null && !page.headersSent) answerPage(page, outcome.isSignedIn ? 200 : 400, outcome);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => this.#server.closeAllConnections(), CLOSE_TIMEOUT_MS);
    this.#server.closeIdleConnections();
    await closed;
    clearTimeout(timer);
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", (cause) => {
        reject(
          new DuplexityError("DPX_LISTEN", `Cannot listen on ${HOST} for the browser: ${cause.message}`, { cause }),
        );
      });
      this.#server.listen(0, HOST, () => {
        const address = this.#server.address();
        if (typeof address === "object" && address !== null) this.#port = address.port;
        resolve();
      });
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const refusal = this.#refusalOf(request);
    if (refusal !== null) {
      const { status, why } = refusal;
      if (status === 405) response.setHeader("Allow", "GET");
      answerPage(response, status, { isSignedIn: false, why });
      return;
    }
    this.#taken = response;
    this.#resolve(new URL(request.url ?? "", this.redirectUri));
  }

  #refusalOf(request: IncomingMessage): { readonly status: number; readonly why: string } | null {
    // A page of the internet whose name was made to point here (DNS rebinding) sends its own name.
    if (request.headers.host !== `${HOST}:${this.#port}`) {
      return { status: 421, why: "This address is for one sign-in only." };
    }
    const target = request.url ?? "";
    if (target !== PATH && !target.startsWith(`${PATH}?`)) return { status: 404, why: "Nothing is there." };
    if (request.method !== "GET") return { status: 405, why: "Only GET is expected." };
    const states = new URL(target, this.redirectUri).searchParams.getAll("state");
    if (states.length !== 1 || !isEqual(states[0] ?? "", this.#state)) {
      // Not the provider's answer. The sign-in goes on: otherwise any page could end it.
      return {
        status: 400,
        why: "This is not the answer to the sign-in that runs here: its state is missing or wrong.",
      };
    }
    return this.#taken === null ? null : { status: 409, why: "This sign-in has had its answer already." };
  }
}

function isEqual(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
