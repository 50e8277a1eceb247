// The load: wrk for requests, curl for large bodies. Parses what they print; fails on any error that they count.

import type { Endpoint, Sample } from "./endpoint.ts";
import { cpuSeconds, runToEnd } from "./proc.ts";

export interface WrkOptions {
  readonly connections: number;
  readonly seconds: number;
  /** Host header instead of the endpoint's first one. */
  readonly host?: string;
  /** A new connection for each request. */
  readonly isClosing?: boolean;
}

/** Runs wrk over `endpoint`: requests per second, p50 and p99 in ms, and CPU in µs a request of each measured process. */
export async function wrk(endpoint: Endpoint, options: WrkOptions): Promise<Sample> {
  const args = [
    "-t1",
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    "--latency",
    "-H",
    `Host: ${options.host ?? endpoint.host}`,
  ];
  if (options.isClosing) args.push("-H", "Connection: close");
  const cpuBefore = endpoint.processes.map(({ pid }) => cpuSeconds(pid));
  const output = await runToEnd("wrk", [...args, `http://127.0.0.1:${endpoint.port}/`]);
  const cpu = endpoint.processes.map(({ pid }, index) => cpuSeconds(pid) - (cpuBefore[index] ?? 0));

  const problem = /^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$/m.exec(output)?.[1];
  if (problem !== undefined) throw new Error(`wrk over ${endpoint.name}: ${problem}`);
  const requests = Number(/^\s*(\d+) requests in/m.exec(output)?.[1]);
  if (!(requests > 0)) throw new Error(`wrk over ${endpoint.name} made no request:\n${output}`);
  const sample: Record<string, number> = {
    rps: Number(/^Requests\/sec:\s+([\d.]+)/m.exec(output)?.[1]),
    p50: milliseconds(/^\s+50%\s+(\S+)/m.exec(output)?.[1]),
    p99: milliseconds(/^\s+99%\s+(\S+)/m.exec(output)?.[1]),
  };
  return withCpu(
    sample,
    endpoint,
    cpu.map((seconds) => (seconds / requests) * 1e6),
  );
}

/** Downloads the first `bytes` of `/large` once: wall seconds, and CPU seconds of each measured process. */
export function download(endpoint: Endpoint, bytes: number): Promise<Sample> {
  const args = ["-H", `Host: ${endpoint.host}`, "-r", `0-${bytes - 1}`, "-o", "/dev/null"];
  return transfer(endpoint, bytes, "%{size_download}", [...args, `http://127.0.0.1:${endpoint.port}/large`]);
}

/** Uploads `file` once to the sink; the same figures. */
export function upload(endpoint: Endpoint, bytes: number, file: string): Promise<Sample> {
  const url = `http://127.0.0.1:${endpoint.sinkPort}/`;
  return transfer(endpoint, bytes, "%{size_upload}", [
    "-H",
    `Host: ${endpoint.sinkHost}`,
    "-o",
    "/dev/null",
    "-T",
    file,
    url,
  ]);
}

async function transfer(endpoint: Endpoint, bytes: number, size: string, args: readonly string[]): Promise<Sample> {
  const cpuBefore = endpoint.processes.map(({ pid }) => cpuSeconds(pid));
  const output = await runToEnd("curl", ["-sS", "-w", `%{http_code} ${size} %{time_total}`, ...args]);
  const cpu = endpoint.processes.map(({ pid }, index) => cpuSeconds(pid) - (cpuBefore[index] ?? 0));
  const [status, moved, wall = Number.NaN] = output.split(" ").map(Number);
  if ((status !== 200 && status !== 206) || moved !== bytes)
    throw new Error(`curl over ${endpoint.name}: status ${status}, ${moved} of ${bytes} bytes`);
  return withCpu({ wall }, endpoint, cpu);
}

function withCpu(sample: Record<string, number>, endpoint: Endpoint, cpu: readonly number[]): Sample {
  if (cpu.length > 0) sample["cpu"] = cpu.reduce((sum, one) => sum + one, 0);
  if (cpu.length > 1)
    endpoint.processes.forEach(({ name }, index) => {
      sample[`cpu.${name}`] = (sample[`cpu.${name}`] ?? 0) + (cpu[index] ?? Number.NaN);
    });
  return sample;
}

/** `812.00us`, `1.87ms`, `1.20s` in milliseconds. */
function milliseconds(text: string | undefined): number {
  const match = /^([\d.]+)(us|ms|s)$/.exec(text ?? "");
  const factor = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? ""] ?? Number.NaN;
  return Number(match?.[1]) * factor;
}
