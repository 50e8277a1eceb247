// Reads a pipe's gate out of a message. What passes is exactly what a server can judge visitors by.

import {
  cidrText,
  type GateUser,
  isGateHash,
  isGateUser,
  MAX_GATE_CIDRS,
  MAX_GATE_USER_CHARS,
  MAX_GATE_USERS,
  type PipeGate,
  parseCidr,
} from "./gate.ts";
import { arrayReader, field, invalid, optionalField, readObject } from "./message-fields.ts";

/** @throws {DuplexityError} `DPX_MESSAGE_INVALID`; also for a gate that asks for nothing, which nobody can have meant. */
export function readGate(value: unknown, path: string): PipeGate {
  const fields = readObject(value, path);
  const gate: PipeGate = {
    ...optionalField(fields, "basicAuth", readUsers),
    ...optionalField(fields, "allowCidr", arrayReader(readCidr, 1, MAX_GATE_CIDRS)),
    ...optionalField(fields, "login", readTrue),
  };
  return Object.keys(gate).length > 0 ? gate : invalid(path, "a gate: it asks for nothing");
}

function readUsers(value: unknown, path: string): readonly GateUser[] {
  const users = arrayReader(readUser, 1, MAX_GATE_USERS)(value, path);
  const names = new Set(users.map(({ user }) => user));
  return names.size === users.length ? users : invalid(path, "a list of different users");
}

function readUser(value: unknown, path: string): GateUser {
  const fields = readObject(value, path);
  return { user: field(fields, "user", readUserName), hash: field(fields, "hash", readHash) };
}

function readUserName(value: unknown, path: string): string {
  if (typeof value === "string" && isGateUser(value)) return value;
  return invalid(path, `1 to ${MAX_GATE_USER_CHARS} characters in NFC without colon and control characters`);
}

function readHash(value: unknown, path: string): string {
  return typeof value === "string" && isGateHash(value) ? value : invalid(path, "a hash of the form of this version");
}

/** In its one form: what is not in it, the sender has not checked. */
function readCidr(value: unknown, path: string): string {
  const network = typeof value === "string" ? parseCidr(value) : null;
  return network !== null && cidrText(network) === value ? cidrText(network) : invalid(path, "a network: address/bits");
}

function readTrue(value: unknown, path: string): true {
  return value === true ? true : invalid(path, "true");
}
