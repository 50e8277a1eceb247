// The SDK, `import { forward } from "duplexity"`.

export type {
  ClientKey,
  ForwardOptions,
  GateOptions,
  PipeOptions,
  TokenAnswer,
  Tunnel,
  TunnelEvents,
  TunnelPipe,
  TunnelStatistics,
  TunnelStatus,
} from "./client/index.ts";
export { forward } from "./client/index.ts";
export { DuplexityError, ERRORS, type ErrorCode, type PipeProtocol, type RequestReport } from "./protocol/index.ts";
