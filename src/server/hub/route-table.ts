// Where each hostname leads, as the proxy asks: a table fed by the registry's
// watch, so that the hot path never waits. In one process it is complete.

import {
  DuplexityError,
  isSameGate,
  type OpenRequest,
  type RequestReport,
  type Session,
  type Stream,
  type StreamHandler,
} from "../../protocol/index.ts";
import type { Registry, RegistryRecord } from "../backend/registry.ts";
import type { Route, Routes } from "../routes.ts";

export interface RouteTableOptions {
  readonly registry: Registry;
  /** The session of a client of this node, or null. */
  readonly sessionOf: (clientId: string) => Session | null;
  /** Opens a stream in that session. @default the session itself does */
  readonly openOn?: (session: Session, clientId: string, request: OpenRequest, handler: StreamHandler) => Stream;
  /** Visitors that wait for a hostname, in all. */
  readonly maxWaiters: number;
  /** A route came, changed or (null) went. */
  readonly onChange?: (previous: Route | null, next: Route | null) => void;
}

type Waiter = () => void;

export class RouteTable implements Routes {
  readonly #options: RouteTableOptions;
  readonly #routes = new Map<string, Route>();
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #stopWatching: () => void;
  #waiterCount = 0;

  constructor(options: RouteTableOptions) {
    this.#options = options;
    this.#stopWatching = options.registry.watch((hostname, record) => this.#update(hostname, record));
  }

  get size(): number {
    return this.#routes.size;
  }

  get waiterCount(): number {
    return this.#waiterCount;
  }

  locate(hostname: string): Route | null {
    return this.#routes.get(hostname) ?? null;
  }

  open(route: Route, request: OpenRequest, handler: StreamHandler): Stream {
    // The route may have changed since it was located; the visitor wants the name, whoever serves it now.
    const current = this.#routes.get(route.hostname);
    const session = current === undefined ? null : this.#options.sessionOf(current.clientId);
    if (session === null || !session.isLive || current?.protocol !== route.protocol) {
      throw new DuplexityError("DPX_CLIENT_AWAY", `The client of "${route.hostname}" is not connected at the moment`);
    }
    const { openOn } = this.#options;
    return openOn === undefined ? session.open(request, handler) : openOn(session, current.clientId, request, handler);
  }

  changed(hostname: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#waiterCount >= this.#options.maxWaiters) {
      return Promise.reject(
        new DuplexityError(
          "DPX_HOLD_LIMIT",
          `Cannot wait for "${hostname}": ${this.#waiterCount} visitors wait already`,
        ),
      );
    }
    return new Promise((resolve, reject) => {
      const waiter = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#forget(hostname, waiter);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#remember(hostname, waiter);
    });
  }

  report(route: Route, report: RequestReport): void {
    if (!route.wantsReports) return;
    const session = this.#options.sessionOf(route.clientId);
    if (session?.isLive === true) session.report(report);
  }

  /** Something happened that could make `open` work: those who wait look again. */
  wake(hostname: string): void {
    const waiters = this.#waiters.get(hostname);
    if (waiters === undefined) return;
    this.#waiters.delete(hostname);
    this.#waiterCount -= waiters.size;
    for (const waiter of waiters) waiter();
  }

  /** Ends all waiting and looks at the registry no more. */
  close(): void {
    this.#stopWatching();
    for (const hostname of [...this.#waiters.keys()]) this.wake(hostname);
    this.#routes.clear();
  }

  #update(hostname: string, record: RegistryRecord | null): void {
    const previous = this.#routes.get(hostname) ?? null;
    const next = record === null ? null : routeOf(record);
    // A client that registers again after a cut changes nothing: what hangs on the route's identity is kept.
    if (previous === null || next === null || !isSame(previous, next)) {
      if (next === null) this.#routes.delete(hostname);
      else this.#routes.set(hostname, next);
      this.#options.onChange?.(previous, next);
    }
    this.wake(hostname);
  }

  #remember(hostname: string, waiter: Waiter): void {
    const waiters = this.#waiters.get(hostname) ?? new Set();
    waiters.add(waiter);
    this.#waiters.set(hostname, waiters);
    this.#waiterCount += 1;
  }

  #forget(hostname: string, waiter: Waiter): void {
    const waiters = this.#waiters.get(hostname);
    if (waiters?.delete(waiter) !== true) return;
    this.#waiterCount -= 1;
    if (waiters.size === 0) this.#waiters.delete(hostname);
  }
}

function isSame(one: Route, other: Route): boolean {
  return (
    one.clientId === other.clientId &&
    one.epoch === other.epoch &&
    one.state === other.state &&
    one.protocol === other.protocol &&
    one.tcpPort === other.tcpPort &&
    one.wantsReports === other.wantsReports &&
    isSameGate(one.gate, other.gate)
  );
}

/** The part of a record that the proxy needs; a new object each time, so that identity tells a change. */
export function routeOf(record: RegistryRecord): Route {
  const { hostname, protocol, clientId, epoch, state, tcpPort, wantsReports, gate } = record;
  const port = tcpPort === undefined ? {} : { tcpPort };
  return { hostname, protocol, clientId, epoch, state, wantsReports, ...port, ...(gate === undefined ? {} : { gate }) };
}
