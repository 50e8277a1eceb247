// Which hubs of a cluster a client is told of. Asks nobody.

import type { NodeRecord } from "./backend/index.ts";
import type { Load } from "./load-level.ts";

/** A message has no room for more. */
const MAX_TOLD = 64;

/** `ws(s)://…/dialer` of those of `nodes` that can be reached by clients and have so much to do, in the order of `loads`. */
export function dialersOf(nodes: readonly NodeRecord[], loads: readonly Load[]): readonly string[] {
  return loads
    .flatMap((wanted) => nodes.filter(({ load = "normal" }) => load === wanted))
    .flatMap(({ dialerUri }) => dialerUri ?? [])
    .slice(0, MAX_TOLD);
}
