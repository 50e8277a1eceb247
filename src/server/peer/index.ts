// Between nodes: the `/peer` sockets, and what one hub passes on for the others. Knows no client and no name.

export type { OutgoingPeer, RelayTarget } from "./outgoing-peer.ts";
export type { RelayRequest } from "./peer-messages.ts";
export type { PeerPath } from "./peer-path.ts";
export { checkSecrets } from "./peer-proof.ts";
export { PEER_PATH, type PeerStatistics, Peers, type PeersOptions } from "./peers.ts";
