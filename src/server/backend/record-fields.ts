// Reads a registry record as it came from another node. What passes has exactly the fields of its type.

import { fields as checked, readGate } from "../../protocol/index.ts";
import type { RegistryRecord } from "./registry.ts";

/** A record as it came from another node. @throws {DuplexityError} `DPX_MESSAGE_INVALID` */
export function readRecord(value: unknown, path: string): RegistryRecord {
  const record = checked.readObject(value, path);
  return {
    hostname: checked.field(record, "hostname", checked.readName),
    protocol: checked.field(record, "protocol", checked.oneOfReader(["http", "tcp"])),
    clientId: checked.field(record, "clientId", checked.readClientId),
    ownerId: checked.field(record, "ownerId", checked.readWord),
    ownerName: checked.field(record, "ownerName", checked.readName),
    nodeId: checked.field(record, "nodeId", checked.readWord),
    wantsReports: checked.field(record, "wantsReports", checked.readBoolean),
    ...checked.optionalField(record, "gate", readGate),
    ...checked.optionalField(record, "tcpPort", checked.integerReader(1, 65_535)),
    epoch: checked.field(record, "epoch", readCount),
    state: checked.field(record, "state", checked.oneOfReader(["up", "away"])),
    since: checked.field(record, "since", readCount),
    expires: checked.field(record, "expires", readCount),
  };
}

/** A time in ms, or an epoch. */
export const readCount = checked.integerReader(0, Number.MAX_SAFE_INTEGER);
