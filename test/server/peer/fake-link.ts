// A link that sends nowhere and says of itself what a test wants: how much waits in it, that it has room again.

import {
  DuplexityError,
  type Link,
  type LinkHandler,
  type OutgoingPacket,
  SessionLink,
  type SessionLinkOptions,
} from "../../../src/protocol/index.ts";

const HEADROOM_BYTES = 14;

export class FakeLink implements Link {
  handler: LinkHandler = { onPacket() {}, onDrain() {}, onClose() {} };
  bufferedBytes = 0;
  /** Packets that were sent, without those of the link itself. */
  readonly sent: Buffer[] = [];
  /** Frames of the link itself: type and payload. */
  readonly frames: (readonly [number, Buffer])[] = [];
  closed: DuplexityError | null = null;

  send(packet: OutgoingPacket): void {
    const bytes = Buffer.concat([...packet.parts]).subarray(HEADROOM_BYTES);
    if (bytes[0] === 5) this.frames.push([bytes[20] ?? 0, bytes.subarray(28)]);
    else this.sent.push(bytes);
  }

  close(code: DuplexityError["code"], reason: string): void {
    this.abort(new DuplexityError(code, reason));
  }

  abort(error: DuplexityError): void {
    if (this.closed !== null) return;
    this.closed = error;
    this.handler.onClose(error);
  }
}

/** A session link on a fake one. */
export function fakeSessionLink(options: Partial<SessionLinkOptions> = {}): {
  readonly fake: FakeLink;
  readonly link: SessionLink;
} {
  const fake = new FakeLink();
  const link = new SessionLink(fake, { heartbeat: { idleMs: 60_000, timeoutMs: 60_000 }, onClose() {}, ...options });
  return { fake, link };
}

/** kind, 0, session (48 bits), sequence number (48), acknowledgement (48), and `size` bytes of body. */
export function packetOf(kind: number, session: number, size = 0): Buffer {
  const packet = Buffer.alloc(20 + size, session & 0xff);
  packet[0] = kind;
  packet[1] = 0;
  packet.writeUIntBE(session, 2, 6);
  packet.writeUIntBE(0, 8, 6);
  packet.writeUIntBE(0, 14, 6);
  return packet;
}
