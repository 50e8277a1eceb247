// The whole thing in one call: a server, a local service, an `up` between them, and a faulty network if wanted.

import { createHome, type Home, type RunningServer, type RunningUp, startServer, startUp } from "./duplexity.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { type HttpOrigin, startHttpOrigin } from "./http-origin.ts";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { type Answer, type VisitOptions, visit } from "./visitor.ts";

export interface TunnelOptions {
  readonly serverArgs?: readonly string[];
  readonly serverNodeArgs?: readonly string[];
  readonly upArgs?: readonly string[];
  /** Instead of a fresh HTTP origin. */
  readonly target?: string;
}

export interface RunningTunnel {
  readonly server: RunningServer;
  readonly up: RunningUp;
  readonly home: Home;
  readonly origin: HttpOrigin;
  /** `cat1.localhost` */
  readonly hostname: string;
  /** What a client gives as `--server`. */
  readonly serverUrl: string;
  visit(path: string, options?: VisitOptions): Promise<Answer>;
}

/** `up --pipe cat1:<origin>` over a good network. */
export async function startTunnel(stage: Stage, options: TunnelOptions = {}): Promise<RunningTunnel> {
  const server = await startServer(stage, {
    args: options.serverArgs ?? [],
    nodeArgs: options.serverNodeArgs ?? [],
  });
  return connect(stage, server, server.url, options);
}

/** The same with a FaultProxy between client and server; visitors reach the server directly. */
export async function startFaultyTunnel(
  stage: Stage,
  options: TunnelOptions = {},
): Promise<RunningTunnel & { readonly link: FaultProxy }> {
  const port = await freePort();
  const link = await FaultProxy.start(stage, port);
  const serverUrl = `http://localhost:${link.port}`;
  const server = await startServer(stage, {
    port,
    args: ["--public-url", serverUrl, ...(options.serverArgs ?? [])],
    nodeArgs: options.serverNodeArgs ?? [],
  });
  return { ...(await connect(stage, server, serverUrl, options)), link };
}

async function connect(
  stage: Stage,
  server: RunningServer,
  serverUrl: string,
  options: TunnelOptions,
): Promise<RunningTunnel> {
  const origin = await startHttpOrigin(stage);
  const home = await createHome(stage);
  const up = await startUp(stage, serverUrl, [`cat1:${options.target ?? origin.target}`], {
    home,
    args: options.upArgs ?? [],
  });
  const hostname = up.pipes[0]?.hostname ?? "";
  return {
    server,
    up,
    home,
    origin,
    hostname,
    serverUrl,
    visit: (path, visitOptions) => visit(server.port, hostname, path, visitOptions),
  };
}
