// What a node writes of itself for the others of its cluster, and how they read it: a line, sealed, that is of a node they can
// act with, or else why it is not.

import { asDuplexityError, fields as checked, DuplexityError } from "../../protocol/index.ts";
import { LOADS, type Load } from "../load-level.ts";
import { isSealed, SEAL_VERSION, sealOf } from "./node-seal.ts";
import { NODE_IDENTITIES, NODE_ROLES, type NodeIdentity, type NodeRecord } from "./presence.ts";
import { readCount } from "./record-fields.ts";

/** Characters of one node's line. */
export const MAX_LINE_CHARS = 4_096;

/** How each kind of node is to be started. */
const SHOWN: Readonly<Record<NodeIdentity, string>> = { accounts: "with accounts", "no-auth": "with --no-auth" };
const OWN_REDIS = "Another cluster needs a Redis, or a database (redis://HOST/1), of its own.";

/** @param secrets The cluster's, the newest first. */
export function nodeLineOf(node: NodeRecord, secrets: readonly string[]): string {
  return JSON.stringify({ ...node, seal: sealOf(node, secrets), sealVersion: SEAL_VERSION });
}

/**
 * Answers why it is ignored, if it is: `DPX_FORBIDDEN` for another secret, `DPX_PROTOCOL_VERSION` for a seal that is made in
 * another way, `DPX_USAGE` where others may open pipes than at `own`.
 */
export function readNodeLine(line: string, own: NodeRecord, secrets: readonly string[]): NodeRecord | DuplexityError {
  try {
    if (line.length > MAX_LINE_CHARS) return checked.invalid("node", "a node's record");
    const entry = checked.readObject(JSON.parse(line), "node");
    const nodeId = checked.field(entry, "nodeId", checked.readWord);
    checkSealVersion(nodeId, checked.optionalField(entry, "sealVersion", readCount));
    const node: NodeRecord = {
      nodeId,
      internalUrl: checked.field(entry, "internalUrl", readOrigin),
      dialerUri: checked.field(entry, "dialerUri", (value, path) => (value === null ? null : readDialer(value, path))),
      roles: checked.field(entry, "roles", checked.knownWordsReader(NODE_ROLES)),
      // A node of an older version does not say it.
      isDraining: false,
      ...checked.optionalField(entry, "isDraining", checked.readBoolean),
      ...checked.optionalField(entry, "identity", checked.oneOfReader(NODE_IDENTITIES)),
      ...checked.optionalField(entry, "load", readLoad),
    };
    const seal = checked.field(entry, "seal", (value) => (typeof value === "string" ? value : ""));
    if (!isSealed(node, seal, secrets)) {
      throw new DuplexityError("DPX_FORBIDDEN", `${nodeId} does not know the cluster's secret`);
    }
    checkIdentity(node, own);
    return node;
  } catch (error) {
    return asDuplexityError(error);
  }
}

/** Whether that is why a node is none of this one's cluster, and not only a line that nobody can read. */
export function isStranger({ code }: DuplexityError): boolean {
  return code === "DPX_FORBIDDEN" || code === "DPX_PROTOCOL_VERSION" || code === "DPX_USAGE";
}

/**
 * Why a node does not join that finds only such ones: it would serve only what is its own, and be asked by nobody. While a secret
 * is changed each node shares one with some.
 */
export function notJoined(strangers: readonly DuplexityError[]): DuplexityError {
  const said = strangers.find(({ code }) => code !== "DPX_FORBIDDEN");
  if (said !== undefined) {
    const { code, message, hint } = said;
    return new DuplexityError(code, `Cannot join the cluster: ${message}`, { hint });
  }
  // Which secret it knows nobody can tell.
  const { length } = strangers;
  const others = length === 1 ? "the node that is there knows" : `the ${length} nodes that are there know`;
  return new DuplexityError("DPX_USAGE", `Cannot join the cluster: ${others} another cluster secret`, {
    hint: `Give all nodes the same --cluster-secret-file. ${OWN_REDIS}`,
  });
}

/** @throws {DuplexityError} `DPX_PROTOCOL_VERSION` */
function checkSealVersion(nodeId: string, { sealVersion = SEAL_VERSION }: { readonly sealVersion?: number }): void {
  if (sealVersion === SEAL_VERSION) return;
  throw new DuplexityError(
    "DPX_PROTOCOL_VERSION",
    `${nodeId} is of a version that seals its record in another way (${sealVersion}, here ${SEAL_VERSION})`,
    { hint: "Run the same version of duplexity on all nodes." },
  );
}

/** Else whoever signs in nowhere would have pipes at all of them. @throws {DuplexityError} `DPX_USAGE` */
function checkIdentity({ nodeId, identity }: NodeRecord, own: NodeRecord): void {
  if (identity === undefined || own.identity === undefined || identity === own.identity) return;
  throw new DuplexityError("DPX_USAGE", `${nodeId} was started ${SHOWN[identity]}, this node ${SHOWN[own.identity]}`, {
    hint: `Start all nodes of a cluster with --no-auth, or none. ${OWN_REDIS}`,
  });
}

/** A word of a later version is no reason to send nobody there. */
function readLoad(value: unknown): Load {
  return LOADS.find((load) => load === value) ?? "normal";
}

const readDialer = checked.uriReader(["ws", "wss"]);

/** No path, query or credentials: a node is an address. */
function readOrigin(value: unknown, path: string): string {
  const url = checked.uriReader(["http", "https"])(value, path);
  return new URL(url).origin === url ? url : checked.invalid(path, "an address of the form http://host:port");
}
