// HAProxy in front of a cluster's nodes, as deploy/proxies sets it up: asks /readyz, and says of each answer which node it
// came from. Knows of a node only where it listens.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { visit } from "./visitor.ts";
import { poll } from "./wait.ts";

export interface Balanced {
  readonly port: number;
  /** Where /readyz is asked for. */
  readonly internalPort: number;
}

export interface Balancer {
  readonly port: number;
  /** Until node `number` counts as up, or as down. */
  untilUp(number: number, isUp: boolean): Promise<void>;
}

/** What an answer through the balancer says of where it came from. */
const NODE_HEADER = "x-node";
const UP_MS = 20_000;

/** The number of the node that gave this answer. */
export function nodeOfAnswer(headers: IncomingHttpHeaders): number {
  const name = headers[NODE_HEADER];
  if (typeof name !== "string") throw new Error(`No node has given this answer: ${JSON.stringify(headers)}`);
  return Number(name.replace("node", ""));
}

export async function startBalancer(stage: Stage, port: number, nodes: readonly Balanced[]): Promise<Balancer> {
  const folder = await stage.folder("haproxy");
  const statisticsPort = await freePort();
  const config = join(folder, "haproxy.cfg");
  const servers = nodes.map(
    (node, number) =>
      `  server node${number} 127.0.0.1:${node.port} check port ${node.internalPort} inter 100 fall 1 rise 1`,
  );
  await writeFile(
    config,
    `global
  maxconn 4000
defaults
  mode http
  timeout connect 2s
  timeout client 120s
  timeout server 120s
  timeout tunnel 1h
  option redispatch
  retries 3
frontend visitors
  bind 127.0.0.1:${port}
  # As in deploy/proxies: unready nodes are better than none.
  use_backend nodes_unchecked if { nbsrv(nodes) eq 0 }
  default_backend nodes
frontend statistics
  bind 127.0.0.1:${statisticsPort}
  stats enable
  stats uri /
backend nodes
  balance roundrobin
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost
  http-response set-header ${NODE_HEADER} %s
${servers.join("\n")}
backend nodes_unchecked
  balance roundrobin
  http-response set-header ${NODE_HEADER} %s
${servers.map((server) => server.replace(/ check .*/, "")).join("\n")}
`,
  );
  const child = spawn("haproxy", ["-db", "-f", config], { stdio: "ignore" });
  const gone = new Promise((resolve) => child.on("close", resolve));
  stage.defer(() => {
    child.kill("SIGKILL");
    return gone;
  });
  return { port, untilUp: (number, isUp) => untilUp(statisticsPort, number, isUp) };
}

async function untilUp(statisticsPort: number, number: number, isUp: boolean): Promise<void> {
  await poll(
    async () => {
      const answer = await visit(statisticsPort, "localhost", "/;csv").catch(() => null);
      const line = answer?.body.split("\n").find((text) => text.startsWith(`nodes,node${number},`));
      return line !== undefined && line.includes(",UP,") === isUp;
    },
    UP_MS,
    `node ${number} to be ${isUp ? "up" : "down"}`,
    20,
  );
}
