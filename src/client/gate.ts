// Who may come in through a pipe, as a person or a program says it: checked before anything is dialled, and turned into
// what the server is told. It never sends a password.

import {
  cidrText,
  DuplexityError,
  hashGatePassword,
  isGateUser,
  MAX_GATE_CIDRS,
  MAX_GATE_USER_CHARS,
  MAX_GATE_USERS,
  MAX_MESSAGE_BYTES,
  type PipeGate,
  parseCidr,
} from "../protocol/index.ts";
import type { Pipe } from "./pipe.ts";
import type { Target } from "./target.ts";
import type { GateOptions } from "./tunnel.ts";

/** A pipe as it is dialled. */
export interface SealedPipe extends Omit<Pipe, "gate"> {
  readonly gate?: PipeGate;
}

/** Longer ones would not fit into what a server reads of a visitor's Authorization. */
const MAX_PASSWORD_CHARS = 256;
/** What a dialRequest has besides its pipes, generously. */
const MESSAGE_ROOM_BYTES = 1_024;

/**
 * Whether `gate` can stand before the pipe `name`.
 *
 * @throws {DuplexityError} `DPX_USAGE` with what would be right. It never tells a password.
 */
export function checkGate(gate: GateOptions, name: string, target: Target): void {
  const { basicAuth, allowCidr, login = false } = gate;
  if (target.protocol === "tcp" && (basicAuth !== undefined || login)) {
    const asked = basicAuth === undefined ? "a sign-in" : "a password";
    throw usage(
      `Cannot ask visitors of "${name}" for ${asked}: it is a TCP pipe, and they can only be told apart by address`,
      "Keep them out with --allow-cidr, or open the TCP pipe by an `up` of its own.",
    );
  }
  if (basicAuth !== undefined) checkUsers(basicAuth);
  if (allowCidr !== undefined) checkNetworks(allowCidr);
}

/**
 * `pipes` with hashes in place of passwords. A gate that several pipes share is hashed once, 100 ms for each password.
 *
 * @throws {DuplexityError} `DPX_USAGE` if all of them don't fit into one message.
 */
export async function sealPipes(pipes: readonly Pipe[]): Promise<readonly SealedPipe[]> {
  const gates = new Map<GateOptions, PipeGate | undefined>();
  for (const { gate } of pipes) {
    if (gate !== undefined && !gates.has(gate)) gates.set(gate, await sealGate(gate));
  }
  const sealed = pipes.map(({ name, target, gate }): SealedPipe => {
    const found = gate === undefined ? undefined : gates.get(gate);
    return found === undefined ? { name, target } : { name, target, gate: found };
  });
  const gateBytes = sealed.reduce((sum, { gate }) => sum + (gate === undefined ? 0 : JSON.stringify(gate).length), 0);
  if (gateBytes <= MAX_MESSAGE_BYTES - MESSAGE_ROOM_BYTES) return sealed;
  throw usage(
    `Cannot open ${pipes.length} pipes with these visitors: what the server is told of them has ${gateBytes} bytes, more than fits into one message`,
    "Open them by several `up`s, or name fewer visitors.",
  );
}

/** Every part in the form of the wire; undefined for a gate that asks for nothing. */
async function sealGate({ basicAuth, allowCidr, login = false }: GateOptions): Promise<PipeGate | undefined> {
  const users = basicAuth?.map(async ({ user, password }) => {
    return { user: user.normalize(), hash: await hashGatePassword(password) };
  });
  if (users === undefined && allowCidr === undefined && !login) return undefined;
  return {
    ...(users === undefined ? {} : { basicAuth: await Promise.all(users) }),
    ...(allowCidr === undefined ? {} : { allowCidr: checkNetworks(allowCidr) }),
    ...(login ? { login } : {}),
  };
}

function checkUsers(users: NonNullable<GateOptions["basicAuth"]>): void {
  checkCount(users.length, MAX_GATE_USERS, "visitors with passwords");
  const names = new Set<string>();
  for (const { user: text, password } of users) {
    const user = text.normalize();
    if (!isGateUser(user)) {
      const wanted = `wanted 1 to ${MAX_GATE_USER_CHARS} characters without a colon and control characters`;
      throw usage(`Cannot let ${JSON.stringify(user.slice(0, 64))} in: it can't be a visitor's name, ${wanted}`);
    }
    if (names.has(user)) throw usage(`Cannot let "${user}" in: there are two of that name`);
    names.add(user);
    if (password !== "" && password.length <= MAX_PASSWORD_CHARS) continue;
    const state = password === "" ? "is empty" : "is too long";
    throw usage(`Cannot let "${user}" in: the password ${state}, wanted 1 to ${MAX_PASSWORD_CHARS} characters`);
  }
}

/** The networks in their canonical form. */
function checkNetworks(cidrs: readonly string[]): readonly string[] {
  checkCount(cidrs.length, MAX_GATE_CIDRS, "networks");
  return cidrs.map((text) => {
    const network = parseCidr(text.trim());
    if (network !== null) return cidrText(network);
    throw usage(
      `Cannot let visitors in from "${text.slice(0, 64)}": it is not a network such as 192.0.2.0/24 or ::1/128`,
    );
  });
}

/** A list that is there and empty would let nobody in; whoever writes it means something else. */
function checkCount(count: number, most: number, what: string): void {
  if (count >= 1 && count <= most) return;
  throw usage(`Cannot keep visitors out by ${count} ${what}: wanted 1 to ${most}`);
}

function usage(message: string, hint?: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", message, { hint });
}
