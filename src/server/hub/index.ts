// The hub: clients' sockets, sessions and registrations. The proxy sees its `routes` only.

export { PEER_PATH } from "../peer/index.ts";
export { senderOf } from "../sender-of.ts";
export type { ClientRow } from "./client-rows.ts";
export { ticketNode } from "./dialer-sockets.ts";
export { Hub } from "./hub.ts";
export type { HubOptions, HubStatistics, HubUpgrade } from "./hub-options.ts";
export type { Found, Kick, KickedClient } from "./kicks.ts";
export { Lobby, type LobbyOptions, type LobbyPlace } from "./lobby.ts";
export type { PortOpener } from "./registrar.ts";
export type { ClusterOptions } from "./relays.ts";
