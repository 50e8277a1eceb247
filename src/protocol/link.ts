// A link carries packets and may die at any time; a session survives it. The
// session sees this interface and never a WebSocket.

import type { DuplexityError, ErrorCode } from "./errors.ts";
import type { OutgoingPacket } from "./packet-builder.ts";

export interface LinkHandler {
  /**
   * One whole packet, in the pieces in which it came: its header lies in the first. The buffers may be kept: they are
   * never written again.
   */
  onPacket(packet: Buffer, rest?: readonly Buffer[]): void;
  /** `bufferedBytes` fell below `LINK_LOW_WATER_BYTES` after it had passed `LINK_HIGH_WATER_BYTES`. */
  onDrain(): void;
  /** The link is gone, for whatever reason. At most once; nothing follows. */
  onClose(error: DuplexityError): void;
}

export interface Link {
  handler: LinkHandler;
  /** Sends one packet as one message. May write its own framing into the packet's headroom, and nowhere else. */
  send(packet: OutgoingPacket): void;
  /** Bytes given to `send` that the kernel has not taken yet. */
  readonly bufferedBytes: number;
  /** Ends the link with a reason that the peer is told. `onClose` follows. */
  close(code: ErrorCode, reason: string): void;
  /** Drops the link without a word. `onClose` follows. */
  abort(error: DuplexityError): void;
}

/** Above this much in the link's queue, streams wait instead of queueing packets: so a small request never waits long. */
export const LINK_HIGH_WATER_BYTES = 1_048_576;
export const LINK_LOW_WATER_BYTES = 262_144;
