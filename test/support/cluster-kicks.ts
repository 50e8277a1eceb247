// Many clients of several owners at a cluster, kicked one by one, each through another node. Says what each was told, and
// how long it took; judges nothing.

import { startHttpOrigin } from "./http-origin.ts";
import { type ClientNews, startManyClients } from "./many-clients.ts";
import type { Nodes } from "./nodes.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

export interface Crowd {
  readonly names: readonly string[];
  /** Of all of them: `closed cat0-7`. */
  news(key: string): ClientNews | undefined;
}

export interface KickReport {
  readonly name: string;
  readonly isBanned: boolean;
  /** From the request to its answer; null: it was refused. */
  readonly acknowledgedMs: number | null;
  /** From the request to when the client was told. */
  readonly toldMs: number;
  readonly clients: unknown;
  readonly closed: ClientNews;
  /** What became of it when it tried to come back. */
  readonly tried: ClientNews;
}

/** Owners, each with the clients of one process. */
const OWNERS = 4;
/** What `startNodes` has to be told so that all of them have room. */
export const CROWD_ARGS = ["--max-clients-per-owner", "1000", "--max-pipes-per-owner", "1000"] as const;
/** A lease. */
const TOLD_MS = 30_000;
const BAN_MS = 3_600_000;

/** `count` clients that came through the balancer, up. */
export async function startCrowd(stage: Stage, nodes: Nodes, count: number): Promise<Crowd> {
  const origin = await startHttpOrigin(stage, "hello");
  const each = Math.ceil(count / OWNERS);
  const all: Promise<ReadonlyMap<string, ClientNews>>[] = [];
  const names: string[] = [];
  for (let owner = 0; owner < OWNERS; owner += 1) {
    await nodes.admin("/api/users", { name: `user${owner}` });
    const { secret } = await nodes.admin("/api/tokens", { name: "many", user: `user${owner}` });
    const [prefix, token] = [`cat${owner}-`, String(secret)];
    for (let index = 0; index < each; index += 1) names.push(`${prefix}${index}`);
    all.push(startManyClients(stage, { server: nodes.url, target: origin.target, token, prefix, count: each }));
  }
  const heard = await Promise.all(all);
  return {
    names: names.slice(0, count),
    news: (key) => heard.map((news) => news.get(key)).find((told) => told !== undefined),
  };
}

/** Every second one is banned as well. */
export async function kickAll(nodes: Nodes, crowd: Crowd): Promise<readonly KickReport[]> {
  const reports: KickReport[] = [];
  for (const [index, name] of crowd.names.entries()) {
    const isBanned = index % 2 === 0;
    reports.push(await kickOne(nodes, crowd, { name, isBanned, node: index % nodes.servers.length }));
  }
  return reports;
}

interface Wanted {
  readonly name: string;
  readonly isBanned: boolean;
  /** Whom the admin asks. */
  readonly node: number;
}

async function kickOne(nodes: Nodes, crowd: Crowd, { name, isBanned, node }: Wanted): Promise<KickReport> {
  const startedAt = Date.now();
  const asked = { who: name, reason: "too loud", ...(isBanned ? { banMs: BAN_MS } : {}) };
  const answer = await nodes.admin("/api/kick", asked, node).catch(() => null);
  const acknowledgedMs = answer === null ? null : Date.now() - startedAt;
  const closed = await poll(() => crowd.news(`closed ${name}`), TOLD_MS, `the end of ${name}`, 2);
  const tried = await poll(() => crowd.news(`tried ${name}`), TOLD_MS, `what became of ${name}`, 2);
  const toldMs = (closed.at ?? 0) - startedAt;
  return { name, isBanned, acknowledgedMs, toldMs, clients: answer?.clients, closed, tried };
}
