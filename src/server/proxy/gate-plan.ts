// A pipe's gate in the form in which visitors are judged by it; made once for each gate. Judges by address alone.

import { BlockList, isIPv6 } from "node:net";
import { type GateUser, type PipeGate, parseCidr } from "../../protocol/index.ts";

export interface GatePlan {
  /** Where visitors may come from; null: anywhere. */
  readonly networks: BlockList | null;
  /** Who may come in by a password, by name; null: there are no passwords. */
  readonly users: ReadonlyMap<string, GateUser> | null;
  readonly needsLogin: boolean;
}

const plans = new WeakMap<PipeGate, GatePlan>();

export function planOf(gate: PipeGate): GatePlan {
  const known = plans.get(gate);
  if (known !== undefined) return known;
  const { allowCidr, basicAuth, login } = gate;
  const plan: GatePlan = {
    networks: allowCidr === undefined ? null : networksOf(allowCidr),
    users: basicAuth === undefined ? null : new Map(basicAuth.map((user) => [user.user, user])),
    needsLogin: login === true,
  };
  plans.set(gate, plan);
  return plan;
}

/**
 * Whether a visitor may come from `address`: plain, without port and zone; also as an IPv4 address in IPv6's form. An
 * empty one, which is not known, may come from nowhere in particular: only where nothing is asked.
 */
export function isFrom(address: string, networks: BlockList | null): boolean {
  if (networks === null) return true;
  return address !== "" && networks.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** What is no network lets nobody in: a gate that came another way than by our codec must not be open. */
function networksOf(cidrs: readonly string[]): BlockList {
  const networks = new BlockList();
  for (const cidr of cidrs) {
    const network = parseCidr(cidr);
    if (network !== null) networks.addSubnet(network.address, network.bits, network.family);
  }
  return networks;
}
