// What stands between a session and whatever brings its packets to the peer: a
// link, or a way over another node. And between a link and what it carries.

import type { DuplexityError } from "./errors.ts";
import type { PacketHeader } from "./packet.ts";
import type { OutgoingPacket } from "./packet-builder.ts";

/** Brings a session's packets to the peer and the peer's to the session. */
export interface Carrier {
  readonly isOpen: boolean;
  /** Whether so much waits that DATA has to wait, too. `linkDrained` follows. */
  readonly isCongested: boolean;
  /** Smoothed round trip to the peer, in ms; null while it is not known. */
  readonly rttMs: number | null;
  /** From now on packets of `session` are given to it. */
  add(session: Carried): void;
  /** Whether it carries or has carried `session`: an opener does not come back to it. */
  hasCarried(session: Carried): boolean;
  forget(session: Carried): void;
  send(packet: OutgoingPacket): void;
}

/** Has packets brought: a session that ends in this process, or one that is passed on to another node. */
export interface Carried {
  readonly id: number;
  /** A packet came, its header in `packet`, and more of it in `rest` if it is of DATA. */
  receive(carrier: Carrier, header: Readonly<PacketHeader>, packet: Buffer, rest: readonly Buffer[]): void;
  /** The carrier is gone. */
  linkLost(carrier: Carrier, error: DuplexityError): void;
  /** The carrier has room again. */
  linkDrained(): void;
  /** Beyond the carrier's other end there is no room for DATA, or there is again. Told only to what runs at a client. */
  linkPaused?(isPaused: boolean): void;
}
