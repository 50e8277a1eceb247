// Which public port a TCP name gets when there are many nodes: ports belong to a node, so there is a pool for each. Opens
// no socket and asks no registry; it is told what became of a name.

import type { Registration, RegistryRecord } from "./registry.ts";
import { type PortRange, TcpPortPool } from "./tcp-port-pool.ts";

/** Nodes whose ports are remembered: those that register their names here. */
const MAX_POOLS = 1_024;

export class NodePorts {
  readonly #range: PortRange | null;
  readonly #pools = new Map<string, TcpPortPool>();
  /** Names that are being registered at this moment: whatever the registry says of them may be about to change. */
  readonly #pending = new Map<string, number>();

  constructor(range: PortRange | null) {
    this.#range = range;
  }

  /**
   * The port with which to register, null for HTTP. From now on it is the name's, until `settle` says otherwise.
   *
   * @throws {DuplexityError} `DPX_TCP_PORTS` if there is no range or no free port in it.
   */
  begin({ hostname, protocol, nodeId, avoidPorts = [] }: Registration): number | null {
    let port: number | null = null;
    if (protocol === "tcp") {
      const pool = this.#poolOf(nodeId);
      const held = pool.portOf(hostname);
      port = held !== null && !avoidPorts.includes(held) ? held : pool.take(hostname, avoidPorts);
      // The hub has closed it or could not open it: no visitor comes there any more.
      if (held !== null && held !== port) pool.release(held);
    }
    this.#pending.set(hostname, (this.#pending.get(hostname) ?? 0) + 1);
    return port;
  }

  /** The registration that `begin` was for is over, well or not. */
  end(hostname: string): void {
    const count = (this.#pending.get(hostname) ?? 1) - 1;
    if (count > 0) this.#pending.set(hostname, count);
    else this.#pending.delete(hostname);
  }

  /** Frees the ports that `hostname` has no more, now that `record` is what the registry says (null: nobody has it). */
  settle(hostname: string, record: RegistryRecord | null): void {
    if (this.#pending.has(hostname)) return;
    for (const [nodeId, pool] of this.#pools) {
      const port = pool.portOf(hostname);
      if (port !== null && (record?.nodeId !== nodeId || record.tcpPort !== port)) pool.release(port);
    }
  }

  /** Names that have a port of `nodeId` and are not being registered: whether they still need it only the registry knows. */
  holdersOf(nodeId: string): readonly string[] {
    return (this.#pools.get(nodeId)?.holders() ?? []).filter((hostname) => !this.#pending.has(hostname));
  }

  #poolOf(nodeId: string): TcpPortPool {
    const known = this.#pools.get(nodeId);
    if (known !== undefined) return known;
    const [oldest] = this.#pools.keys();
    if (this.#pools.size >= MAX_POOLS && oldest !== undefined) this.#pools.delete(oldest);
    const pool = new TcpPortPool(this.#range);
    this.#pools.set(nodeId, pool);
    return pool;
  }
}
