// Finds a stream for one request: locates the route, asks its gate, takes an idle stream or opens one, and waits while
// the client is away. It says what it found; it sends nothing and knows nothing of answers.

import type { FieldEdit, RequestHead } from "../../http/index.ts";
import { asDuplexityError, type ErrorCode, isSameGate, type PipeGate } from "../../protocol/index.ts";
import type { Route } from "../routes.ts";
import type { ProxyContext } from "./context.ts";
import type { GateRedirect, GateRefusal, GateVerdict } from "./gate-answer.ts";
import type { Held } from "./hold.ts";
import { DRAINING_HOLD_MS, LATE_HOLD_MS } from "./options.ts";
import { OriginStream } from "./origin-stream.ts";
import { visitorCode } from "./retry.ts";

/**
 * Who searches. Exactly one of `onStream`, `onTurnedAway` and `onSearchFailed` follows each `search`, maybe before it
 * returns.
 */
export interface Searcher {
  /** The visitor's `ip:port`. */
  readonly address: string;
  /** The visitor's address alone; empty when nobody knows it. */
  readonly plainAddress: string;
  readonly isTls: boolean;
  /** Bytes that the request keeps in memory while it waits. */
  readonly heldBytes: number;
  onStream(origin: OriginStream): void;
  onSearchFailed(code: ErrorCode): void;
  /** The route's gate lets the visitor in: the head is to go out with this edit. `onStream` may follow. `person`: who signed in for it. */
  onWelcome(edit: FieldEdit, person: string | null): void;
  /** The route's gate does not let the visitor in. */
  onTurnedAway(answer: GateRefusal | GateRedirect): void;
  /** The answer will take a while: nothing more should be read from the visitor until then. */
  onWaiting(): void;
}

type Phase = "idle" | "locating" | "held";

export class StreamSearch implements Held {
  readonly #context: ProxyContext;
  readonly #searcher: Searcher;
  #phase: Phase = "idle";
  #head: RequestHead | null = null;
  #mayUseIdle = true;
  /** What this request's visitor has passed. */
  #passed: PipeGate | null = null;
  /** Tells a late answer of an earlier search. */
  #turn = 0;
  /** The route of the last search that got so far. */
  route: Route | null = null;
  heldUntil = 0;

  constructor(context: ProxyContext, searcher: Searcher) {
    this.#context = context;
    this.#searcher = searcher;
  }

  get hostname(): string {
    return this.#head?.host ?? "";
  }

  get heldBytes(): number {
    return this.#searcher.heldBytes;
  }

  /** Makes ready for another request. */
  begin(head: RequestHead): void {
    this.#head = head;
    this.route = null;
    this.#passed = null;
    this.heldUntil = 0;
  }

  /** Begins, or begins again. `mayUseIdle`: whether a stream that has served others will do. */
  search(mayUseIdle: boolean): void {
    this.#mayUseIdle = mayUseIdle;
    this.#phase = "locating";
    const turn = ++this.#turn;
    const located = this.#context.routes.locate(this.hostname);
    if (located === null || !(located instanceof Promise)) {
      this.#onLocated(located);
      return;
    }
    this.#searcher.onWaiting();
    located.then(
      (route) => {
        if (turn === this.#turn) this.#onLocated(route);
      },
      (error: unknown) => {
        const { code } = asDuplexityError(error);
        // No stream's word: this node's own, that it takes no visitors.
        if (turn === this.#turn) this.#fail(code === "DPX_MISDIRECTED" ? code : visitorCode(code));
      },
    );
  }

  /** The request waits for its client since then, in the proxy's time: it lay on a stream that had no link. */
  waitedSince(since: number): void {
    const { now, limits } = this.#context;
    if (this.heldUntil === 0) this.heldUntil = Math.max(since + limits.holdTimeoutMs, now + LATE_HOLD_MS);
  }

  /** Ends the search without a word. Safe to call when there is none. */
  cancel(): void {
    if (this.#phase === "held") this.#context.holds.remove(this);
    this.#phase = "idle";
    this.#turn++;
  }

  onRouteChanged(): void {
    this.search(this.#mayUseIdle);
  }

  onHoldEnded(code: ErrorCode): void {
    this.#fail(visitorCode(code));
  }

  #onLocated(route: Route | null): void {
    if (route === null || route.protocol !== "http") {
      this.#fail("DPX_NAME_UNKNOWN");
      return;
    }
    this.route = route;
    if (route.gate !== undefined && !this.#hasPassed(route.gate)) {
      this.#askGate(route.gate);
      return;
    }
    if (route.state === "away") {
      // A client that may be long in coming is not waited for by a node that goes.
      if (this.#context.isDraining()) this.#fail("DPX_DRAINING");
      else this.#hold();
      return;
    }
    let origin = this.#mayUseIdle ? this.#context.pool.take(route) : null;
    try {
      origin ??= this.#open(route);
    } catch (error) {
      const { code } = asDuplexityError(error);
      if (code === "DPX_CLIENT_AWAY") this.#hold();
      else this.#fail(visitorCode(code));
      return;
    }
    this.#phase = "idle";
    this.#searcher.onStream(origin);
  }

  /** While it waited, the route may have got another gate, or its own one once more. */
  #hasPassed(gate: PipeGate): boolean {
    return this.#passed !== null && (this.#passed === gate || isSameGate(this.#passed, gate));
  }

  #askGate(gate: PipeGate): void {
    const head = this.#head;
    if (head === null) return;
    const turn = this.#turn;
    const onError = (error: unknown): void => this.#fail(visitorCode(asDuplexityError(error).code));
    let verdict: GateVerdict | Promise<GateVerdict>;
    try {
      verdict = this.#context.gates.judge({ gate, head, address: this.#searcher.plainAddress });
    } catch (error) {
      // Auth may not be there yet, or not any more: who can't be judged is not let in.
      onError(error);
      return;
    }
    if (!(verdict instanceof Promise)) {
      this.#onVerdict(gate, verdict);
      return;
    }
    this.#searcher.onWaiting();
    verdict.then(
      (late) => {
        if (turn === this.#turn) this.#onVerdict(gate, late);
      },
      (error: unknown) => {
        if (turn === this.#turn) onError(error);
      },
    );
  }

  #onVerdict(gate: PipeGate, verdict: GateVerdict): void {
    if (verdict.kind !== "welcome") {
      this.#phase = "idle";
      this.#searcher.onTurnedAway(verdict);
      return;
    }
    this.#passed = gate;
    this.#searcher.onWelcome(verdict.edit, verdict.person);
    // Anew: the route may have changed meanwhile.
    this.search(this.#mayUseIdle);
  }

  #open(route: Route): OriginStream {
    const { pool, routes } = this.#context;
    try {
      return new OriginStream(routes, route, pool, this.#searcher);
    } catch (error) {
      const { code } = asDuplexityError(error);
      const isFull = code === "DPX_LIMIT" || code === "DPX_STREAMS_LIMIT";
      // Nobody is refused for the sake of streams that only wait for a next request.
      if (!isFull || !pool.makeRoom(route.clientId)) throw error;
      return new OriginStream(routes, route, pool, this.#searcher);
    }
  }

  #hold(): void {
    const { holds, now, limits } = this.#context;
    // The first wait sets the time: a route that flaps does not make it longer.
    if (this.heldUntil === 0) this.heldUntil = now + limits.holdTimeoutMs;
    if (this.#context.isDraining()) this.heldUntil = Math.min(this.heldUntil, now + DRAINING_HOLD_MS);
    if (this.heldUntil <= now) this.#fail("DPX_CLIENT_AWAY");
    else if (!holds.add(this)) this.#fail("DPX_HOLD_LIMIT");
    else {
      this.#phase = "held";
      this.#searcher.onWaiting();
    }
  }

  #fail(code: ErrorCode): void {
    this.#phase = "idle";
    this.#searcher.onSearchFailed(code);
  }
}
