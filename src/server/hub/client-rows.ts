// A client as `GET /api/clients` shows it.

import type { PipeProtocol } from "../../protocol/index.ts";
import type { ClientRecord } from "./client-record.ts";

export interface ClientRow {
  readonly clientId: string;
  readonly owner: string;
  /** ISO 8601. */
  readonly since: string;
  readonly rttMs: number | null;
  readonly pipes: readonly {
    readonly hostname: string;
    readonly url: string;
    readonly protocol: PipeProtocol;
    readonly epoch: number;
    /** `away`: the client is between two links. */
    readonly state: "up" | "away";
  }[];
}

export function rowOf(client: ClientRecord): ClientRow {
  const state = client.isLive ? "up" : "away";
  return {
    clientId: client.clientId,
    owner: client.identity.ownerName,
    since: new Date(client.since).toISOString(),
    rttMs: client.link?.rttMs ?? null,
    pipes: client.held.map(({ hostname, url, protocol, epoch }) => ({ hostname, url, protocol, epoch, state })),
  };
}
