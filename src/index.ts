// The SDK, `import { forward } from "duplexity"`.

export * from "./client/index.ts";
export { DuplexityError, ERRORS, type ErrorCode, type RequestReport } from "./protocol/index.ts";
