// Reads a registration or a record as it came from another node, and compares two. What passes has exactly the fields of
// its type.

import { isDeepStrictEqual } from "node:util";
import { fields as checked, readGate } from "../../protocol/index.ts";
import type { Registration, RegistryRecord } from "./registry.ts";

const MAX_PORT = 65_535;

/** A record as it came from another node. @throws {DuplexityError} `DPX_MESSAGE_INVALID` */
export function readRecord(value: unknown, path: string): RegistryRecord {
  const record = checked.readObject(value, path);
  return {
    ...readCommon(record),
    ...checked.optionalField(record, "tcpPort", checked.integerReader(1, MAX_PORT)),
    epoch: checked.field(record, "epoch", readCount),
    state: checked.field(record, "state", checked.oneOfReader(["up", "away"])),
    since: checked.field(record, "since", readCount),
    expires: checked.field(record, "expires", readCount),
  };
}

/** What a node wants to have registered. @throws {DuplexityError} `DPX_MESSAGE_INVALID` */
export function readRegistration(registration: checked.Fields): Registration {
  const readPorts = checked.arrayReader(checked.integerReader(1, MAX_PORT), 0, MAX_PORT);
  return {
    ...readCommon(registration),
    ...checked.optionalField(registration, "avoidPorts", readPorts),
    ...checked.optionalField(registration, "goneOwnerId", checked.readWord),
  };
}

/** Whether a visitor would see no difference. */
export function isSameRecord(one: RegistryRecord, other: RegistryRecord): boolean {
  return isDeepStrictEqual({ ...one, expires: 0 }, { ...other, expires: 0 });
}

function readCommon(record: checked.Fields): Omit<Registration, "avoidPorts" | "goneOwnerId"> {
  return {
    hostname: checked.field(record, "hostname", checked.readName),
    protocol: checked.field(record, "protocol", checked.oneOfReader(["http", "tcp"])),
    clientId: checked.field(record, "clientId", checked.readClientId),
    ownerId: checked.field(record, "ownerId", checked.readWord),
    ownerName: checked.field(record, "ownerName", checked.readName),
    nodeId: checked.field(record, "nodeId", checked.readWord),
    wantsReports: checked.field(record, "wantsReports", checked.readBoolean),
    ...checked.optionalField(record, "gate", readGate),
  };
}

/** A time in ms, or an epoch. */
export const readCount = checked.integerReader(0, Number.MAX_SAFE_INTEGER);
