// What a client asks a hub first, and what it has to hear before it dials on. Opens no socket, closes none.

import {
  type DiscoveryResponse,
  DuplexityError,
  GATES_FEATURE,
  PROTOCOL_VERSIONS,
  RELAY_FEATURE,
} from "../protocol/index.ts";
import type { Control } from "./control.ts";
import type { SealedPipe } from "./gate.ts";
import { SOFTWARE } from "./software.ts";

export interface DiscoverOptions {
  readonly clientId: string;
  /** How often the client was sent elsewhere so far. Left out: it is to be answered by this hub, whichever it is. */
  readonly redirects?: number;
  /** A node that is of no use. @default none */
  readonly avoids?: string | null | undefined;
}

/**
 * Asks for the data plane's address and a ticket.
 *
 * @throws {DuplexityError} As `Control.discover`; `DPX_PROTOCOL_VERSION` if the hub speaks none of ours, `DPX_DRAINING` if it
 * is the one to avoid.
 */
export async function discover(control: Control, options: DiscoverOptions): Promise<DiscoveryResponse> {
  const { clientId, redirects, avoids } = options;
  const discovery = await control.discover({
    type: "discoveryRequest",
    clientId,
    protocolVersions: PROTOCOL_VERSIONS,
    software: SOFTWARE,
    features: [],
    ...(redirects === undefined ? {} : { redirects }),
  });
  checkVersion(discovery);
  if (discovery.nodeId === avoids) {
    throw new DuplexityError("DPX_DRAINING", `${discovery.nodeId} is shutting down, and another node is wanted`);
  }
  return discovery;
}

/** Whether there may be other hubs. */
export function isInCluster({ features }: DiscoveryResponse): boolean {
  return features?.includes(RELAY_FEATURE) === true;
}

/**
 * A server that doesn't know of gates would open the pipes to everybody.
 *
 * @throws {DuplexityError} `DPX_PROTOCOL_VERSION` if one of `pipes` has a gate and the server is such a one.
 */
export function checkGates(pipes: readonly SealedPipe[], { features = [], software }: DiscoveryResponse): void {
  const gated = pipes.find(({ gate }) => gate !== undefined);
  if (gated === undefined || features.includes(GATES_FEATURE)) return;
  throw new DuplexityError(
    "DPX_PROTOCOL_VERSION",
    `Cannot open "${gated.name}": the server (${software}) is too old to keep visitors out`,
    { hint: "Upgrade the server: npm install -g duplexity@latest" },
  );
}

function checkVersion({ protocolVersion, software }: DiscoveryResponse): void {
  if (PROTOCOL_VERSIONS.includes(protocolVersion)) return;
  const highest = Math.max(...PROTOCOL_VERSIONS);
  const older = protocolVersion > highest ? "this client" : "the server";
  throw new DuplexityError(
    "DPX_PROTOCOL_VERSION",
    `The server (${software}) speaks version ${protocolVersion} of the protocol, this client ${PROTOCOL_VERSIONS.join(", ")}`,
    { hint: `Upgrade ${older}: npm install -g duplexity@latest` },
  );
}
