// How many pipes one owner has, over all clients: first on this hub, then over the whole cluster. Counts names: whoever
// takes a name over from a sister has one, not two.

import { DuplexityError, hostnameOf } from "../../protocol/index.ts";
import type { ClientRecord, HeldPipe } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import type { OwnerLists } from "./owner-lists.ts";

/** The hostnames that pipes with these names would get on `domain`; those that cannot be any are left out. */
export function hostnamesOf(names: readonly string[], domain: string): readonly string[] {
  return names.flatMap((name) => {
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
  // Whoever is far below it is not looked at name by name: a thousand clients of one owner may come back at once.
  if (clients.namesBound(ownerId) <= maxPipes) return;
  // What it holds and does not ask for is given up in the same step.
  const hostnames = new Set(client.wanted);
  const asked = hostnames.size;
  for (const sister of clients.ofOwner(ownerId)) {
    if (sister !== client) for (const hostname of sister.hostnames) hostnames.add(hostname);
  }
  checkCount({ asked, count: hostnames.size, maxPipes, ownerName });
}

/**
 * The same over all nodes, when `pipes` are registered. Each one registers first and counts then, so that of two that come
 * at once at two nodes the later count sees both: more than `maxPipes` never stay. Both may be refused.
 *
 * @throws {DuplexityError} `DPX_OWNER_LIMIT`: they are to be given back. `DPX_STORE` if they cannot be counted.
 */
export async function checkClusterPipes(
  { clientId, identity: { ownerId, ownerName } }: ClientRecord,
  pipes: readonly HeldPipe[],
  lists: OwnerLists,
  maxPipes: number,
): Promise<void> {
  const hostnames = new Set(pipes.map(({ hostname }) => hostname));
  for (const record of await lists.of(ownerId)) {
    // What the client holds and has not asked for is given up in the same step.
    if (record.state === "up" && record.clientId !== clientId) hostnames.add(record.hostname);
  }
  checkCount({ asked: pipes.length, count: hostnames.size, maxPipes, ownerName });
}

interface Count {
  readonly asked: number;
  readonly count: number;
  readonly maxPipes: number;
  readonly ownerName: string;
}

function checkCount({ asked, count, maxPipes, ownerName }: Count): void {
  if (count <= maxPipes) return;
  const message = `Cannot register ${asked} pipes: ${ownerName} would have ${count}, may have ${maxPipes}`;
  throw new DuplexityError("DPX_OWNER_LIMIT", message, {
    hint: "Close some with duplexity down, or have serve started with a higher --max-pipes-per-owner.",
  });
}
