// Where each hostname leads, as the proxy asks: a table fed by the registry's watch, so that the hot path never waits. In
// one process it is complete; in a cluster it also asks for what it does not know, and again after a while.

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
import { RouteLookups } from "./route-lookups.ts";

export interface RouteTableOptions {
  readonly registry: Registry;
  /** This node's session with the client that holds a name, wherever its link is; null if it cannot be reached. */
  readonly sessionOf: (record: RegistryRecord) => Session | null;
  /** Opens a stream in that session. @default the session itself does */
  readonly openOn?: (session: Session, clientId: string, request: OpenRequest, handler: StreamHandler) => Stream;
  /** Whether the watch tells of this node's names only, so that the registry has to be asked for others. @default false */
  readonly asks?: boolean;
  /** When the registry last answered this node, whatever it was asked. @default it never did */
  readonly answeredAt?: () => number;
  /** How long a name whose client went stays its owner's: as long nobody else can have it unheard. @default for ever */
  readonly graceMs?: number;
  /** Monotonic time in ms. @default performance.now */
  readonly now?: () => number;
  /** Visitors that wait for a hostname, in all. */
  readonly maxWaiters: number;
  /** A route came, changed or (null) went. */
  readonly onChange?: (previous: Route | null, next: Route | null) => void;
  /** The registry told something of a name, changed or not. */
  readonly onRecord?: (record: RegistryRecord) => void;
  /** A client holds none of the names any more that were known here. */
  readonly onClientGone?: (clientId: string) => void;
}

interface Entry {
  readonly route: Route;
  readonly record: RegistryRecord;
  /** When the registry last said so. */
  readonly heardAt: number;
}

/** Names that are kept by a table that asks. Beyond, the one that came first is forgotten. */
const MAX_ROUTES = 100_000;
/** After this the registry is asked whether a name is still so; meanwhile it is taken for that. A third of a lease. */
const REFRESH_MS = 10_000;
/** What is left at least of the lease of a name that the registry has just told of: it is renewed at the third, or soon after. */
const SURE_MS = 15_000;
/** For so long a registry that cannot be reached is done without; then a visitor is told so. */
const MAX_UNHEARD_MS = 120_000;

type Waiter = () => void;

export class RouteTable implements Routes {
  readonly #options: RouteTableOptions;
  readonly #routes = new Map<string, Entry>();
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #ofClient = new Map<string, Set<string>>();
  readonly #lookups: RouteLookups | null;
  readonly #now: () => number;
  readonly #maxUnheardMs: number;
  readonly #stopWatching: () => void;
  #waiterCount = 0;

  constructor(options: RouteTableOptions) {
    this.#options = options;
    const { registry, asks = false, now = () => performance.now() } = options;
    this.#now = now;
    // Afterwards the name may be somebody else's.
    this.#maxUnheardMs = Math.min(MAX_UNHEARD_MS, SURE_MS + (options.graceMs ?? MAX_UNHEARD_MS));
    const onAnswer = (hostname: string, record: RegistryRecord | null): void => this.#update(hostname, record);
    this.#lookups = asks ? new RouteLookups({ registry, now, onAnswer }) : null;
    this.#stopWatching = registry.watch((hostname, record) => {
      this.#lookups?.heard(hostname);
      this.#update(hostname, record);
    });
  }

  get size(): number {
    return this.#routes.size;
  }

  get waiterCount(): number {
    return this.#waiterCount;
  }

  locate(hostname: string): Route | null | Promise<Route | null> {
    const entry = this.#routes.get(hostname);
    if (this.#lookups === null) return entry?.route ?? null;
    const unheardMs = entry === undefined ? this.#maxUnheardMs : this.#now() - entry.heardAt;
    if (entry !== undefined && unheardMs < REFRESH_MS) return entry.route;
    const asked = this.#lookups.ask(hostname);
    if (entry !== undefined && unheardMs < this.#maxUnheardMs) {
      // Who cannot be asked now will be for the next one.
      asked?.catch(() => {});
      return entry.route;
    }
    if (asked === null) return null;
    return asked.then(
      () => this.#routes.get(hostname)?.route ?? null,
      (error: unknown) => this.#without(hostname, error),
    );
  }

  /** What the registry said of a name last. */
  recordOf(hostname: string): RegistryRecord | null {
    return this.#routes.get(hostname)?.record ?? null;
  }

  /** Names that a client holds. */
  hostnamesOf(clientId: string): readonly string[] {
    return [...(this.#ofClient.get(clientId) ?? [])];
  }

  open(route: Route, request: OpenRequest, handler: StreamHandler): Stream {
    // The route may have changed since it was located; the visitor wants the name, whoever serves it now.
    const current = this.#routes.get(route.hostname);
    const session = current === undefined ? null : this.#options.sessionOf(current.record);
    if (session === null || !session.isLive || current?.route.protocol !== route.protocol) {
      throw new DuplexityError("DPX_CLIENT_AWAY", `The client of "${route.hostname}" is not connected at the moment`);
    }
    const { openOn } = this.#options;
    return openOn === undefined
      ? session.open(request, handler)
      : openOn(session, current.record.clientId, request, handler);
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
    const current = this.#routes.get(route.hostname);
    const session = current?.record.clientId === route.clientId ? this.#options.sessionOf(current.record) : null;
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
    this.#ofClient.clear();
  }

  #update(hostname: string, record: RegistryRecord | null): void {
    const known = this.#routes.get(hostname);
    if (record !== null && known !== undefined && this.#isPast(record, known)) return;
    const previous = known?.route ?? null;
    const next = record === null ? null : routeOf(record);
    // A client that registers again, here or at another hub, changes nothing: what hangs on the route's identity is kept.
    const route = previous !== null && next !== null && isSame(previous, next) ? previous : next;
    if (route === null || record === null) this.#drop(hostname);
    else this.#put({ route, record, heardAt: this.#now() });
    if (route !== previous) this.#options.onChange?.(previous, route);
    if (record !== null) this.#options.onRecord?.(record);
    this.wake(hostname);
  }

  /** A name that nobody wanted for long is as good as the others until the registry has been silent for too long. */
  #without(hostname: string, error: unknown): Route {
    const entry = this.#routes.get(hostname);
    const answeredAt = this.#options.answeredAt?.() ?? Number.NEGATIVE_INFINITY;
    if (entry === undefined || this.#now() - answeredAt >= this.#maxUnheardMs) throw error;
    this.#routes.set(hostname, { ...entry, heardAt: Math.max(entry.heardAt, answeredAt) });
    return entry.route;
  }

  /** Said before what is known here and come later; or the registry has lost the newer one, and its holder puts it back. */
  #isPast({ epoch }: RegistryRecord, known: Entry): boolean {
    return epoch < known.record.epoch && this.#now() - known.heardAt < this.#maxUnheardMs;
  }

  #put(entry: Entry): void {
    const { hostname, clientId } = entry.record;
    if (this.#routes.get(hostname)?.record.clientId !== clientId) this.#drop(hostname);
    this.#routes.set(hostname, entry);
    const names = this.#ofClient.get(clientId) ?? new Set();
    this.#ofClient.set(clientId, names.add(hostname));
    if (this.#lookups === null) return;
    for (const oldest of this.#routes.keys()) {
      if (this.#routes.size <= MAX_ROUTES) break;
      this.#drop(oldest);
    }
  }

  #drop(hostname: string): void {
    const entry = this.#routes.get(hostname);
    if (entry === undefined) return;
    this.#routes.delete(hostname);
    const { clientId } = entry.record;
    const names = this.#ofClient.get(clientId);
    names?.delete(hostname);
    if (names?.size !== 0) return;
    this.#ofClient.delete(clientId);
    this.#options.onClientGone?.(clientId);
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
