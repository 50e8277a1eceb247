// Which public port a TCP pipe gets. Remembers who had a port last, so that a
// name comes back to it. Opens no socket.

import { DuplexityError } from "../../protocol/index.ts";

export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** Bounded by its range: one holder and one last holder for each port. */
export class TcpPortPool {
  readonly #range: PortRange | null;
  readonly #holders = new Map<number, string>();
  readonly #lastHolders = new Map<number, string>();
  readonly #lastPorts = new Map<string, number>();

  constructor(range: PortRange | null) {
    this.#range = range;
  }

  /**
   * A port for `hostname`: the one it had, else one that nobody had, else any that is free. The search starts at a
   * place that follows from the name, so that a restarted server gives most names the port that they had before.
   *
   * @param avoid Ports that something outside this server has.
   * @throws {DuplexityError} `DPX_TCP_PORTS` if there is no range or no free port in it.
   */
  take(hostname: string, avoid: readonly number[] = []): number {
    const port = this.#choose(hostname, avoid);
    this.#forgetLast(port);
    const previous = this.#lastPorts.get(hostname);
    if (previous !== undefined) this.#forgetLast(previous);
    this.#holders.set(port, hostname);
    this.#lastHolders.set(port, hostname);
    this.#lastPorts.set(hostname, port);
    return port;
  }

  /** The port that `hostname` has at this moment. */
  portOf(hostname: string): number | null {
    const port = this.#lastPorts.get(hostname);
    return port !== undefined && this.#holders.get(port) === hostname ? port : null;
  }

  /** Who has a port at this moment. */
  holders(): readonly string[] {
    return [...this.#holders.values()];
  }

  /** Frees `port`; its last holder is remembered until somebody else needs the port. */
  release(port: number): void {
    this.#holders.delete(port);
  }

  #choose(hostname: string, avoid: readonly number[]): number {
    if (this.#range === null) {
      throw new DuplexityError("DPX_TCP_PORTS", `Cannot open a port for "${hostname}": this server has no TCP ports`, {
        hint: "Whoever runs the server has to give it some, on nodes with the roles backend, hub and proxy: duplexity serve --tcp-ports 20000-20099",
      });
    }
    const last = this.#lastPorts.get(hostname);
    if (last !== undefined && !this.#holders.has(last) && !avoid.includes(last)) return last;
    const { from, to } = this.#range;
    const size = to - from + 1;
    const start = hashOf(hostname) % size;
    let free: number | null = null;
    for (let step = 0; step < size; step += 1) {
      const port = from + ((start + step) % size);
      if (this.#holders.has(port) || avoid.includes(port)) continue;
      if (!this.#lastHolders.has(port)) return port;
      free ??= port;
    }
    if (free !== null) return free;
    throw new DuplexityError(
      "DPX_TCP_PORTS",
      `Cannot open a port for "${hostname}": all ${size} TCP ports ${from}-${to} are in use`,
      {
        hint: `Close a TCP pipe; or whoever runs the server has to widen its --tcp-ports ${from}-${to}.`,
      },
    );
  }

  #forgetLast(port: number): void {
    const hostname = this.#lastHolders.get(port);
    if (hostname === undefined) return;
    this.#lastHolders.delete(port);
    this.#lastPorts.delete(hostname);
  }
}

/** FNV-1a, 32 bits: spreads names over the range, no more than that is asked of it. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
