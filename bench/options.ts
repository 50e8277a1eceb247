// The benchmark's own flags.

import { parseArgs } from "node:util";

export interface Options {
  /** Names of scenarios; empty: all. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly idleClients: number;
  readonly stalledReaders: number;
  /** Node binaries or major versions: the tunnel's own, then those to compare it with. */
  readonly nodes: readonly string[];
  readonly isProfiling: boolean;
  /** Leave the tunnel out: for trying the harness. */
  readonly isWithoutTunnel: boolean;
}

export const USAGE = `npm run bench -- [options]
  --only NAMES      comma-separated scenarios (keepalive, one, new, down, up, rtt, stalled, idle,
                    relay, nodes, clusterIdle)
  --rounds N        rounds, each over all endpoints in turn; medians are shown (default 5)
  --seconds N       length of each wrk run (default 5)
  --mebibytes N     size of large bodies (default 1024)
  --readers N       stalled readers (default 100)
  --clients N       idle clients (default 500)
  --nodes LIST      more Nodes, as major versions or paths of binaries: the tunnel runs with each, as tunnel@MAJOR
  --profile         CPU profiles of the tunnel's processes, and where their time goes
  --no-tunnel       only direct and haproxy
Environment: NODE_BIN, the Node (major version or path) that the tunnel runs with (default: this one).`;

/** Reads the flags; answers null when help was asked for. */
export function readOptions(args: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", default: "" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "5" },
      mebibytes: { type: "string", default: "1024" },
      readers: { type: "string", default: "100" },
      clients: { type: "string", default: "500" },
      nodes: { type: "string", default: "" },
      profile: { type: "boolean", default: false },
      "no-tunnel": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  return {
    only: list(values.only),
    rounds: count("rounds", values.rounds),
    seconds: count("seconds", values.seconds),
    bytes: count("mebibytes", values.mebibytes) * 1_048_576,
    idleClients: count("clients", values.clients),
    stalledReaders: count("readers", values.readers),
    nodes: [process.env["NODE_BIN"] ?? process.execPath, ...list(values.nodes)],
    isProfiling: values.profile,
    isWithoutTunnel: values["no-tunnel"],
  };
}

function list(text: string): string[] {
  return text.split(",").filter((part) => part !== "");
}

function count(flag: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${flag} is "${text}", expected a whole number above 0`);
}
