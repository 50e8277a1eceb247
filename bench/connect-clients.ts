// Idle clients in a process of their own, which keeps them until it is stopped.

import { fileURLToPath } from "node:url";
import { type Child, startAndRead } from "./proc.ts";

const PROGRAM = fileURLToPath(new URL("idle-clients.js", import.meta.url));

export interface ConnectOptions {
  readonly count: number;
  /** Their names are `PREFIX-0` and so on. */
  readonly prefix: string;
  /** Whose token they show. @default each a key of its own */
  readonly tokenFile?: string;
}

/** Starts a process that connects so many clients to `server`; resolves when all are ready. */
export async function connectClients(
  server: string,
  { count, prefix, tokenFile = "" }: ConnectOptions,
): Promise<Child> {
  const args = [PROGRAM, server, String(count), prefix, tokenFile];
  return (await startAndRead(process.execPath, args, "ready")).child;
}
