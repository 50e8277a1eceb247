// Gives a client's session the link that a dialer has become. Registers nothing, and ends no client.

import { createPacketLink, type DialRequest, type Session, SessionLink } from "../../protocol/index.ts";
import type { ServeLimits } from "../index.ts";
import type { ClientRecord } from "./client-record.ts";
import type { DialerSocket } from "./dialer-socket.ts";
import type { Lives } from "./lives.ts";
import type { NodeSessions, SessionHolder } from "./node-sessions.ts";

export interface ClientLinksOptions {
  readonly sessions: NodeSessions;
  readonly lives: Lives;
  readonly limits: Pick<ServeLimits, "heartbeatIdleMs" | "heartbeatTimeoutMs">;
  /** A client's link comes: this node's session with it, if that went another way until now. */
  readonly takeBack: (client: ClientRecord) => Session | null;
  /** A client has a link here. */
  readonly onLinked: (client: ClientRecord) => void;
  /** A client's session has a link: who waits for one of its names may try. */
  readonly onLive: (client: ClientRecord) => void;
}

export class ClientLinks {
  readonly #options: ClientLinksOptions;

  constructor(options: ClientLinksOptions) {
    this.#options = options;
  }

  /** The session goes on over the new link; the one before is of no more use. */
  attach(client: ClientRecord, dialer: DialerSocket, wants: DialRequest["wants"]): void {
    const { limits, lives, sessions } = this.#options;
    const { heartbeatIdleMs: idleMs, heartbeatTimeoutMs: timeoutMs } = limits;
    const previous = client.link;
    // What came early is read in `give`, and may end the link before there is a name for it here.
    let made: SessionLink | null = null;
    const link = dialer.give(
      (connection) =>
        new SessionLink(createPacketLink(connection), {
          heartbeat: { idleMs, timeoutMs },
          canPause: wants.includes("pause"),
          onClose: (error) => {
            if (made !== null) lives.linkClosed(client, made, error);
          },
        }),
    );
    made = link;
    // What came early may have been its end: then the session waits for another one.
    client.link = link.isOpen ? link : null;
    clearTimeout(client.awayTimer);
    client.session ??= this.#takeBack(client) ?? sessions.start(this.#holderFor(client));
    // First of all on this link: so the client knows which session is its hub's.
    client.session.attach(link);
    previous?.close("DPX_LINK_LOST", "A newer dialer took its place");
    if (client.link !== null) this.#options.onLinked(client);
  }

  #holderFor(client: ClientRecord): SessionHolder {
    const { lives, onLive } = this.#options;
    return {
      onLive: () => onLive(client),
      onDetached: () => {},
      onClose: (error) => {
        // Else it was ended with its client.
        if (client.session !== null) lives.sessionClosed(client, error);
      },
    };
  }

  #takeBack(client: ClientRecord): Session | null {
    const session = this.#options.takeBack(client);
    if (session !== null) this.#options.sessions.pass(session, this.#holderFor(client));
    return session;
  }
}
