// What a relay may hold, in one place, each with its reason.

/**
 * Bytes of one session that a hub takes before it has passed them on: what its client's link, however slow, costs the
 * hub. 100 clients that read nothing: 50 MB. Between two nodes that are 2 ms apart it is good for 256 MB/s.
 */
export const RELAY_WINDOW_BYTES = 524_288;

/** Credit is given back in pieces of this. */
export const RELAY_CREDIT_BYTES = RELAY_WINDOW_BYTES / 4;

/**
 * While more waits for one other node, clients are asked to pause the sessions that add to it. Above what a link between
 * two nodes needs to be busy, below what hurts.
 */
export const PEER_PAUSE_BYTES = 4_194_304;

/**
 * Bytes that may wait for one other node, of all clients together: room for what is under way when they are asked to
 * pause. A relay that passes it ends with DPX_LINK_QUEUE: its session goes on later, and the client still has what was
 * dropped.
 */
export const PEER_QUEUE_BYTES = 33_554_432;

/** Sessions that one node may have passed on here. */
export const MAX_RELAYS_PER_PEER = 65_536;

/** How long a relay waits for a client that is between two links. */
export const RELAY_WAIT_MS = 30_000;

/** How often the other nodes are told the clients' round trips, if these have changed. */
export const RTT_UPDATE_MS = 2_000;
