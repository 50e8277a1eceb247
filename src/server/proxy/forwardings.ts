// What the forwarding fields say about each visitor's address. Visitors come back, and load balancers are few: the
// lines are made once for an address, not for a connection.

import { Forwarding } from "../../http/index.ts";
import type { ProxyOptions, VisitorSocket } from "./options.ts";

/** Addresses remembered; the one that was made first goes first. */
const MAX_ADDRESSES = 1_024;

export class Forwardings {
  readonly #options: ProxyOptions;
  readonly #pseudonym: string;
  #listenerPort: number | null = null;
  readonly #byAddress = new Map<string, Forwarding>();

  constructor(options: ProxyOptions, pseudonym: string) {
    this.#options = options;
    this.#pseudonym = pseudonym;
  }

  /** @param address The socket's peer, without port. */
  of(socket: VisitorSocket, address: string): Forwarding {
    const { trustProxy, publicScheme, publicPort } = this.#options;
    // A listener has one port, and asking each socket for it is a system call.
    this.#listenerPort ??= publicPort ?? socket.localPort ?? null;
    const port = this.#listenerPort ?? 0;
    const proto = publicScheme ?? ("encrypted" in socket ? "https" : "http");
    const key = `${proto} ${address}`;
    const known = this.#byAddress.get(key);
    if (known !== undefined) return known;
    const isTrusted = trustProxy?.check(address, address.includes(":") ? "ipv6" : "ipv4") === true;
    const forwarding = new Forwarding({ address, proto, port, pseudonym: this.#pseudonym, isTrusted });
    this.#byAddress.set(key, forwarding);
    if (this.#byAddress.size > MAX_ADDRESSES) {
      for (const oldest of this.#byAddress.keys()) {
        this.#byAddress.delete(oldest);
        break;
      }
    }
    return forwarding;
  }
}
