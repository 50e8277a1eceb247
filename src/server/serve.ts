// Starts a server: its options are checked, what it shares is opened, a node is made of it. What fails leaves nothing open.

import type { ServeOptions, Server } from "./index.ts";
import { Node } from "./node.ts";
import { openNodeParts } from "./node-parts.ts";
import { patiently } from "./patience.ts";
import { type ResolvedServeOptions, resolveServeOptions } from "./serve-options.ts";

/**
 * Starts a server; resolves when it listens.
 *
 * @throws {DuplexityError} `DPX_USAGE` if an option is wrong, `DPX_LISTEN` if an address cannot be taken, `DPX_STORE` if
 * what it keeps cannot be read, or after a minute in which what it shares with others was out of reach. Nothing is left
 * open then.
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const resolved = resolveServeOptions(options);
  const { identity, cluster } = resolved;
  const isShared = cluster !== null || (identity.kind === "accounts" && identity.store.kind === "redis");
  if (!isShared) return startNode(resolved);
  return patiently(() => startNode(resolved), { warn: (message) => resolved.log("warn", message) });
}

async function startNode(resolved: ResolvedServeOptions): Promise<Server> {
  const node = new Node(resolved, await openNodeParts(resolved));
  try {
    await node.open();
  } catch (error) {
    await node.close();
    throw error;
  }
  return node;
}
