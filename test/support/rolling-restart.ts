// All nodes of a cluster drained and started anew, one after the other, with visitors who come and visitors who stay. Says
// what became of each; judges nothing.

import { type LongStream, openLongStreams, untilTicked } from "./long-streams.ts";
import type { Nodes } from "./nodes.ts";
import type { Stage } from "./stage.ts";

export interface RestartOptions {
  readonly hostname: string;
  /** Event streams, and as many WebSockets. */
  readonly streams: number;
  /** As the nodes were told. */
  readonly drainMs: number;
  readonly rounds: number;
}

export interface NodeRestart {
  readonly node: number;
  readonly status: number | null;
  /** From the signal to the process's end. */
  readonly tookMs: number;
  /** How long after the signal each stream through this node lived; null: it was still there when the process had ended. */
  readonly livedMs: readonly (number | null)[];
}

export interface RestartReport {
  readonly restarts: readonly NodeRestart[];
  /** All that were ever opened. */
  readonly streams: readonly LongStream[];
}

/** Longer than a drain takes. */
const LATE_MS = 10_000;

/** Resolves when all are ready again. Rejects when a stream ends that does not go through the node that ends. */
export async function restartAll(stage: Stage, nodes: Nodes, options: RestartOptions): Promise<RestartReport> {
  const { hostname, streams: count, drainMs, rounds } = options;
  const all: LongStream[] = [];
  const restarts: NodeRestart[] = [];
  let open: readonly LongStream[] = [];
  for (let turn = 0; turn < rounds * nodes.servers.length; turn += 1) {
    const node = turn % nodes.servers.length;
    const server = nodes.servers[node];
    if (server === undefined) throw new Error(`There is no node ${node}`);
    const fresh = await openLongStreams(stage, { port: nodes.port, hostname, count }, open);
    all.push(...fresh);
    open = [...open, ...fresh];
    const through = open.filter((stream) => stream.node === node);
    const others = open.filter((stream) => stream.node !== node);
    const signalledAt = performance.now();
    server.process.kill("SIGTERM");
    const { status } = await server.process.exited(drainMs + LATE_MS);
    const tookMs = performance.now() - signalledAt;
    // The end of a connection goes through the balancer: it may come a moment later than that of the process.
    await untilTicked(others);
    const livedMs = through.map(({ endedAt }) => (endedAt === null ? null : endedAt - signalledAt));
    restarts.push({ node, status, tookMs, livedMs });
    open = others;
    await nodes.restart(node);
    await nodes.untilUp(node, true);
  }
  return { restarts, streams: all };
}
