// Looks into a running Node process through its inspector: collects its garbage and reads what is left. For processes
// that were started with `INSPECT_ARGS`.

import { once } from "node:events";
import { WebSocket } from "ws";
import type { DuplexityProcess } from "./duplexity.ts";
import { isObject } from "./lines.ts";
import { within } from "./wait.ts";

export const INSPECT_ARGS: readonly string[] = ["--inspect=127.0.0.1:0"];

export interface Memory {
  /** Objects that are still reachable. */
  readonly heapMiB: number;
  /** Buffers and the like outside the heap. */
  readonly externalMiB: number;
  /** Handles that keep the process alive: sockets, timers, servers. */
  readonly resources: Readonly<Record<string, number>>;
}

const EXPRESSION = `JSON.stringify({ ...process.memoryUsage(), resources: process.getActiveResourcesInfo() })`;

/** What `running` holds after a full garbage collection. */
export async function memoryAfterGc(running: DuplexityProcess): Promise<Memory> {
  await running.untilPrinted("Debugger listening on ");
  const url = /Debugger listening on (ws:\/\/\S+)/.exec(running.stderr)?.[1] ?? "";
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await within(once(socket, "open"), 5_000, "the inspector");
  try {
    await call(socket, 1, "HeapProfiler.collectGarbage", {});
    await call(socket, 2, "HeapProfiler.collectGarbage", {});
    const answer = await call(socket, 3, "Runtime.evaluate", { expression: EXPRESSION });
    return readMemory(answer);
  } finally {
    socket.terminate();
  }
}

async function call(socket: WebSocket, id: number, method: string, params: object): Promise<Record<string, unknown>> {
  const answered = new Promise<Record<string, unknown>>((resolve) => {
    const listen = (data: Buffer) => {
      const message: unknown = JSON.parse(String(data));
      if (!isObject(message) || message.id !== id) return;
      socket.off("message", listen);
      resolve(message);
    };
    socket.on("message", listen);
  });
  socket.send(JSON.stringify({ id, method, params }));
  return within(answered, 20_000, `the inspector's answer to ${method}`);
}

function readMemory(answer: Record<string, unknown>): Memory {
  const outer = isObject(answer.result) ? answer.result.result : undefined;
  const text = isObject(outer) ? outer.value : undefined;
  const usage: unknown = typeof text === "string" ? JSON.parse(text) : null;
  if (!isObject(usage) || !Array.isArray(usage.resources)) throw new Error(`No memory in ${JSON.stringify(answer)}`);
  const resources: Record<string, number> = {};
  for (const name of usage.resources) resources[String(name)] = (resources[String(name)] ?? 0) + 1;
  return { heapMiB: mebi(usage.heapUsed), externalMiB: mebi(usage.external), resources };
}

function mebi(bytes: unknown): number {
  if (typeof bytes !== "number") throw new Error(`Not a number of bytes: ${bytes}`);
  return Math.round((bytes / 1_048_576) * 10) / 10;
}
