// How long the round trips to clients at other hubs are, for a list of them: those hubs are asked. Keeps nothing.

import type { RequestResult, WebSocketsMessage } from "./backend/index.ts";
import type { ClientRow } from "./hub/index.ts";

/** Clients whose round trips are asked for: the others of a longer list are shown without. */
const MAX_ROUND_TRIPS = 2_000;

/**
 * Fills in what is missing. A client whose names are another hub's has its link there, or at a third one: whoever has it
 * knows. Never rejects.
 */
export async function withRoundTrips(
  rows: readonly ClientRow[],
  ask: (message: WebSocketsMessage) => Promise<RequestResult<"websockets">>,
): Promise<readonly ClientRow[]> {
  const unknown = rows.filter(({ rttMs }) => rttMs === null).slice(0, MAX_ROUND_TRIPS);
  if (unknown.length === 0) return rows;
  const told = new Map<string, number>();
  try {
    const { replies } = await ask({ type: "roundTrips", clientIds: unknown.map(({ clientId }) => clientId) });
    for (const { outcome } of replies) {
      const trips = outcome.status === "done" ? (outcome.reply.roundTrips ?? []) : [];
      // With links to two hubs it is the better one's, whichever of two others is asked for the list.
      for (const { clientId, rttMs } of trips) told.set(clientId, Math.min(rttMs, told.get(clientId) ?? rttMs));
    }
  } catch {
    // The list is worth showing without them.
  }
  return rows.map((row) => ({ ...row, rttMs: row.rttMs ?? told.get(row.clientId) ?? null }));
}
