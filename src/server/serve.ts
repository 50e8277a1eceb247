// Starts a server: its options are checked, what it shares is opened, a node is made of it. What fails leaves nothing open.

import type { ServeOptions, Server } from "./index.ts";
import { Node } from "./node.ts";
import { openNodeParts } from "./node-parts.ts";
import { resolveServeOptions } from "./serve-options.ts";

/**
 * Starts a server; resolves when it listens.
 *
 * @throws {DuplexityError} `DPX_USAGE` if an option is wrong, `DPX_LISTEN` if an address cannot be taken, `DPX_STORE` if
 * what it shares with others cannot be reached. Nothing is left open then.
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const resolved = resolveServeOptions(options);
  const node = new Node(resolved, await openNodeParts(resolved));
  try {
    await node.open();
  } catch (error) {
    await node.close();
    throw error;
  }
  return node;
}
