// How many pipes one owner has on this hub, over all clients. Counts names: whoever takes a name over from a sister has
// one, not two.

import { DuplexityError, hostnameOf, type PipeRequest } from "../../protocol/index.ts";
import type { ClientRecord } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";

/** The hostnames that `pipes` would get on `domain`; those that cannot be any are left out. */
export function hostnamesOf(pipes: readonly PipeRequest[], domain: string): readonly string[] {
  return pipes.flatMap(({ name }) => {
    try {
      return [hostnameOf(name, domain)];
    } catch {
      // The registrar says what is wrong with it.
      return [];
    }
  });
}

/** @throws {DuplexityError} `DPX_OWNER_LIMIT` if the owner of `client` would have more than `maxPipes` with what it asks for. */
export function checkOwnerPipes(client: ClientRecord, clients: ClientTable, maxPipes: number): void {
  const { ownerId, ownerName } = client.identity;
  // What it holds and does not ask for is given up in the same step.
  const hostnames = new Set(client.wanted);
  const asked = hostnames.size;
  for (const sister of clients.ofOwner(ownerId)) {
    if (sister !== client) for (const hostname of sister.hostnames) hostnames.add(hostname);
  }
  if (hostnames.size <= maxPipes) return;
  const message = `Cannot register ${asked} pipes: ${ownerName} would have ${hostnames.size}, may have ${maxPipes}`;
  throw new DuplexityError("DPX_OWNER_LIMIT", message, {
    hint: "Close some with duplexity down, or have serve started with a higher --max-pipes-per-owner.",
  });
}
