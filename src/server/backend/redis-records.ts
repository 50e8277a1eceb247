// Records as the scripts of redis-scripts.ts take and answer them. Validates what comes back: others may write to Redis.

import { asDuplexityError, DuplexityError, readGate } from "../../protocol/index.ts";
import { FIELDS } from "./redis-scripts.ts";
import type { Registration, RegistryRecord } from "./registry.ts";

type FieldName = (typeof FIELDS)[number];

/** A name that Redis knows. Without `record` there is no route: the client has left, and the name is still its owner's. */
export interface KnownName {
  readonly epoch: number;
  readonly record: RegistryRecord | null;
}

/** The arguments of a registration, in the scripts' order. */
export function registrationArgs(registration: Registration, tcpPort: number | null): string[] {
  const { ownerId, ownerName, clientId, nodeId, protocol, wantsReports, gate } = registration;
  const gateText = gate === undefined ? "" : JSON.stringify(gate);
  const port = tcpPort === null ? "" : String(tcpPort);
  return [ownerId, ownerName, clientId, nodeId, protocol, wantsReports ? "1" : "0", gateText, port];
}

/**
 * What a script answered for one name at the time `now`, or null if nobody has it.
 *
 * @param graceMs How long after its lease's end a name stays away.
 * @throws {DuplexityError} `DPX_STORE` if it is not as this version writes it.
 */
export function readKnownName(hostname: string, reply: unknown, now: number): KnownName | null {
  if (!Array.isArray(reply)) throw damaged(hostname);
  const values: readonly unknown[] = reply;
  const get = (name: FieldName): string => {
    const value = values[FIELDS.indexOf(name)];
    if (typeof value !== "string") throw damaged(hostname);
    return value;
  };
  if (typeof values[FIELDS.indexOf("epoch")] !== "string") return null;
  const epoch = numberOf(hostname, get("epoch"));
  const lease = numberOf(hostname, get("lease"));
  const ends = numberOf(hostname, get("ends"));
  if (now >= ends) return null;
  if (get("left") === "1") return { epoch, record: null };
  const gate = get("gate");
  const port = get("port");
  const isUp = now < lease;
  return {
    epoch,
    record: {
      hostname,
      protocol: get("proto") === "tcp" ? "tcp" : "http",
      clientId: get("client"),
      ownerId: get("owner"),
      ownerName: get("ownerName"),
      nodeId: get("node"),
      wantsReports: get("reports") === "1",
      ...(gate === "" ? {} : { gate: gateOf(hostname, gate) }),
      ...(port === "" ? {} : { tcpPort: numberOf(hostname, port) }),
      epoch,
      state: isUp ? "up" : "away",
      since: numberOf(hostname, get("since")),
      expires: isUp ? lease : ends,
    },
  };
}

/** @throws {DuplexityError} `DPX_STORE` if `reply` is no time. */
export function readTime(reply: unknown): number {
  return numberOf("the time", reply);
}

function numberOf(what: string, text: unknown): number {
  const number = typeof text === "string" && text !== "" ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw damaged(what);
  return number;
}

function gateOf(hostname: string, text: string) {
  try {
    return readGate(JSON.parse(text), "gate");
  } catch (error) {
    // Without its gate the name would be open to everybody.
    throw damaged(hostname, asDuplexityError(error));
  }
}

function damaged(what: string, cause?: DuplexityError): DuplexityError {
  const message = `Cannot read "${what}" in Redis: it is not as duplexity wrote it`;
  return new DuplexityError("DPX_STORE", message, cause === undefined ? {} : { cause });
}
