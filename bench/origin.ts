// The origins: nginx with a 36-byte answer and a sparse 1 GiB file, and a sink that reads uploads to their end.

import { once } from "node:events";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, freePort, start, startAndRead } from "./proc.ts";

export interface Origin {
  readonly port: number;
  readonly sinkPort: number;
  stop(): Promise<void>;
}

/** The answer to `/`: 36 bytes. */
const ANSWER = "duplexity benchmark origin answer 36";
const START_TIMEOUT_MS = 10_000;

/** Starts both in `folder`, with a file of `bytes` at `/large`. */
export async function startOrigin(folder: string, bytes: number): Promise<Origin> {
  const port = await freePort();
  mkdirSync(join(folder, "files"), { recursive: true });
  writeFileSync(join(folder, "files", "large"), "");
  truncateSync(join(folder, "files", "large"), bytes);
  const config = join(folder, "nginx.conf");
  writeFileSync(config, nginxConfig(folder, port));
  const nginx = start("nginx", ["-c", config, "-p", folder, "-e", join(folder, "nginx.log")]);
  await answers(port);
  const sink = await startAndRead(process.execPath, [fileURLToPath(new URL("sink.js", import.meta.url))], "listening");
  return {
    port,
    sinkPort: Number(sink.line["port"]),
    stop: () => stopAll([nginx, sink.child]),
  };
}

/** Resolves once something accepts connections on a loopback port. */
export async function answers(port: number): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch (cause) {
      if (Date.now() > deadline) throw new Error(`Nothing listens on port ${port}`, { cause });
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      socket.destroy();
    }
  }
}

export async function stopAll(children: readonly Child[]): Promise<void> {
  await Promise.all(children.map((child) => child.stop()));
}

function nginxConfig(folder: string, port: number): string {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `  ${name}_temp_path ${join(folder, name)};`)
    .join("\n");
  return `daemon off;
master_process off;
worker_processes 1;
pid ${join(folder, "nginx.pid")};
error_log ${join(folder, "nginx.log")};
events { worker_connections 8192; }
http {
${paths}
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${join(folder, "files")};
    location = / { default_type text/plain; return 200 "${ANSWER}"; }
  }
}
`;
}
