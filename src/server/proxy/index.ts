// The part that faces visitors: HTTP by hostname, TCP by port. Knows the rest of the server by `Routes` only.

export { AnswerCounts, DURATION_BOUNDS_MS } from "./answer-counts.ts";
export type { ProxyCounters } from "./context.ts";
export type { GatekeeperOptions } from "./gatekeeper.ts";
export {
  DEFAULT_PROXY_LIMITS,
  type ProxyLimits,
  type ProxyLog,
  type ProxyOptions,
  type VisitorSocket,
} from "./options.ts";
export { isOwnHost } from "./own-host.ts";
export { createProxy, type ProxyStatistics, type VisitorProxy } from "./proxy.ts";
export { createTcpPorts, type TcpPorts, type TcpPortsOptions, type TcpPortsStatistics } from "./tcp-ports.ts";
export { addressBehind, plainAddress } from "./visitor-address.ts";
