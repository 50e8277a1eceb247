// Opens what a node shares with others, or has for itself alone: the way to the backend, the people, the registry with its
// topics and nodes. What was opened is closed when a later step fails.

import { randomBytes } from "node:crypto";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import { type OpenedRegistry, openRegistry } from "./backend/index.ts";
import { BackendLink } from "./calls/index.ts";
import { FailureCount } from "./operate/index.ts";
import { openPeople, type People } from "./people.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";
import { SharedTime } from "./shared-time.ts";

export interface NodeParts {
  readonly nodeId: string;
  readonly people: People;
  readonly shared: OpenedRegistry;
  readonly storeFailures: FailureCount;
  /** By which ends are judged. */
  readonly time: SharedTime;
  /** After everything that uses them. */
  close(): Promise<void>;
}

/** @throws {DuplexityError} `DPX_STORE` if something of it cannot be reached. Nothing is left open then. */
export async function openNodeParts(options: ResolvedServeOptions): Promise<NodeParts> {
  const nodeId = `n${randomBytes(5).toString("hex")}`;
  // Only what the store itself cannot do: what a change of an entry refuses is no failure of the store.
  const storeFailures = new FailureCount((error) => asDuplexityError(error).code === "DPX_STORE");
  const warn = (message: string): void => options.log("warn", message);
  const time = new SharedTime();
  const opened: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of opened.splice(0).reverse()) await end();
  };
  try {
    const link = await openLink(options, nodeId, warn);
    if (link !== null) opened.push(() => link.close());
    const people = await openPeople(options.identity, { warn, storeFailures, link, now: time.now });
    opened.push(() => people.close());
    const shared = await openShared(options, { nodeId, link, warn, time });
    opened.push(() => shared.close());
    return { nodeId, people, shared, storeFailures, time, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Around {
  readonly nodeId: string;
  readonly link: BackendLink | null;
  readonly warn: (message: string) => void;
  readonly time: SharedTime;
}

/** Null for a node that needs no other one's backend. */
async function openLink(
  { cluster, internalTls: tls }: ResolvedServeOptions,
  nodeId: string,
  warn: (message: string) => void,
): Promise<BackendLink | null> {
  if (cluster?.shared.kind !== "nodes") return null;
  return BackendLink.open({ origins: cluster.shared.origins, secrets: cluster.secrets, tls, nodeId, warn });
}

/** What nodes share: in Redis for a cluster, by way of another node that has it, else in this process. */
async function openShared(
  { cluster, limits, tcpPorts }: ResolvedServeOptions,
  { nodeId, link, warn, time }: Around,
): Promise<OpenedRegistry> {
  const common = { nodeId, tcpPorts, graceMs: limits.graceMs };
  if (cluster === null) return openRegistry({ kind: "memory", ...common });
  const { secrets, shared } = cluster;
  if (shared.kind === "redis") {
    return openRegistry({ kind: "redis", ...common, url: shared.url, secrets, warn, onTime: time.told });
  }
  if (link === null) throw new DuplexityError("DPX_INTERNAL", "There is no way to the backend");
  return openRegistry({ kind: "remote", nodeId, link, secrets, warn });
}
