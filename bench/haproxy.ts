// The yardstick: haproxy in HTTP mode, one thread, connections to the origin kept and shared.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Endpoint } from "./endpoint.ts";
import { answers, type Origin } from "./origin.ts";
import { type Child, freePort, start } from "./proc.ts";

export async function startHaproxy(folder: string, origin: Origin): Promise<{ child: Child; endpoint: Endpoint }> {
  const port = await freePort();
  const config = join(folder, "haproxy.cfg");
  writeFileSync(config, haproxyConfig(port, origin));
  const child = start("haproxy", ["-db", "-f", config]);
  await answers(port);
  const endpoint: Endpoint = {
    name: "haproxy",
    port,
    host: "cat1.localhost",
    neighbourHost: "cat2.localhost",
    sinkHost: "sink.localhost",
    sinkPort: port,
    processes: [{ name: "haproxy", pid: child.pid }],
  };
  return { child, endpoint };
}

function haproxyConfig(port: number, origin: Origin): string {
  return `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 10s
  timeout client 75s
  timeout server 75s
frontend visitors
  bind 127.0.0.1:${port} backlog 4096
  use_backend sink if { hdr_beg(host) -i sink. }
  default_backend origin
backend origin
  server origin 127.0.0.1:${origin.port}
backend sink
  server sink 127.0.0.1:${origin.sinkPort}
`;
}
