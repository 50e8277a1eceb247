// The client as a library: `forward()` opens a tunnel. It prints nothing and never ends the process.

export { dialFailure } from "./dial-errors.ts";
export { forward } from "./forward.ts";
export { type AuthorizationRequest, authorizationFor, newClientKey } from "./identity.ts";
export { type Pipe, parsePipe, resolvePipes } from "./pipe.ts";
export { parseTarget, type Target, type TargetAddress } from "./target.ts";
export type { TokenAnswer, TokenSource } from "./token.ts";
export type * from "./tunnel.ts";
