// The tunnel as a user runs it: `duplexity serve` and `duplexity up` of the built package, two processes.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Endpoint } from "./endpoint.ts";
import type { Origin } from "./origin.ts";
import { type Child, startAndRead } from "./proc.ts";

const BIN = fileURLToPath(new URL("../../bin/duplexity.js", import.meta.url));

export interface TunnelOptions {
  /** Folder for settings and sockets; made if missing. */
  readonly folder: string;
  /** Path of the Node binary. */
  readonly node: string;
  /** Folder for CPU profiles, written when the processes end. */
  readonly profileFolder?: string | undefined;
}

export interface RunningServer {
  readonly child: Child;
  readonly url: string;
}

export interface ServerOptions {
  /** Of Node's inspector. @default none */
  readonly inspectorPort?: number;
  /** For visitors and clients. @default a free one */
  readonly port?: number;
  /** Flags for who may come in, and with whom it acts. @default --no-auth */
  readonly identity?: readonly string[];
}

/** Starts a server alone. */
export async function startServer(
  options: TunnelOptions,
  { inspectorPort, port = 0, identity = ["--no-auth"] }: ServerOptions = {},
): Promise<RunningServer> {
  const nodeFlags = inspectorPort === undefined ? [] : [`--inspect=127.0.0.1:${inspectorPort}`];
  const args = [
    "serve",
    ...identity,
    "--json",
    "--log-level",
    "warn",
    "--listen",
    `127.0.0.1:${port}`,
    "--internal-listen",
    "127.0.0.1:0",
    // All clients are this machine's, and that is one owner.
    "--max-clients-per-owner",
    "10000",
    "--max-pipes-per-owner",
    "20000",
    "--max-connections-per-owner",
    "20000",
  ];
  const { child, line } = await startCommand(options, "server", nodeFlags, args, "listening");
  return { child, url: String(line["public"]) };
}

/** Starts a client with pipes `NAME:HOST:PORT`, and `flags` of `up`. */
export async function startClient(
  options: TunnelOptions,
  server: string,
  pipes: readonly string[],
  flags: readonly string[] = [],
): Promise<Child> {
  const args = ["up", "--server", server, "--json", ...flags, ...pipes.flatMap((pipe) => ["--pipe", pipe])];
  return (await startCommand(options, "client", [], args, "ready")).child;
}

/** Server and client with the pipes that every scenario uses. */
export async function startTunnel(
  name: string,
  options: TunnelOptions,
  origin: Origin,
): Promise<{ endpoint: Endpoint; stop(): Promise<void> }> {
  const server = await startServer(options);
  const client = await startClient(options, server.url, [
    `cat1:127.0.0.1:${origin.port}`,
    `cat2:127.0.0.1:${origin.port}`,
    `sink:127.0.0.1:${origin.sinkPort}`,
  ]).catch(async (error: unknown) => {
    await server.child.stop();
    throw error;
  });
  const port = Number(new URL(server.url).port);
  return {
    endpoint: {
      name,
      port,
      host: "cat1.localhost",
      neighbourHost: "cat2.localhost",
      sinkHost: "sink.localhost",
      sinkPort: port,
      node: options.node,
      processes: [
        { name: "server", pid: server.child.pid },
        { name: "client", pid: client.pid },
      ],
    },
    async stop() {
      await client.stop();
      await server.child.stop();
    },
  };
}

function startCommand(
  { folder, node, profileFolder }: TunnelOptions,
  name: "server" | "client",
  nodeFlags: readonly string[],
  args: readonly string[],
  type: string,
): ReturnType<typeof startAndRead> {
  mkdirSync(folder, { recursive: true });
  const profile =
    profileFolder === undefined
      ? []
      : ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`, `--cpu-prof-name=${name}.cpuprofile`];
  return startAndRead(node, [...nodeFlags, ...profile, BIN, ...args], type, {
    // Node tells on stderr of every debugger that comes and goes.
    stderr: nodeFlags.length > 0 ? "ignore" : "inherit",
    env: {
      DUPLEXITY_CONFIG_DIR: join(folder, "config"),
      DUPLEXITY_RUNTIME_DIR: join(folder, "run"),
    },
  });
}
