// HTTP/1.1 as the proxy forwards it: heads, body framing, hop-by-hop rules.
// Pure: bytes in, values out; no sockets, no timers, no exceptions for bad input.
//
// A connection's direction: HeadCollector gathers a head → *HeadCache.read (or parse*Head) reads it → build*Head makes
// the head for the other side → BodyScanner says which bytes are the body → and again.

export { BodyScanner } from "./body-scanner.ts";
export { dechunk } from "./dechunker.ts";
export { editFields, type FieldEdit } from "./edit-fields.ts";
export { type FaultCode, HttpFault } from "./fault.ts";
export { type HeadSource, headSource } from "./fields.ts";
export { buildRequestHead, Forwarding, type ForwardingOptions } from "./forward-request.ts";
export { type AnswerForwarding, type BodyPassing, bodyPassing, buildResponseHead } from "./forward-response.ts";
export type { Framing } from "./framing.ts";
export { type HeadCacheOptions, RequestHeadCache, ResponseHeadCache } from "./head-cache.ts";
export { findHeadEnd, HeadCollector } from "./head-collector.ts";
export { HTTP_LIMITS, type HttpLimits } from "./limits.ts";
export { parseRequestHead, RequestHead, readRequestHead } from "./request-head.ts";
export { type AnswerContext, parseResponseHead, ResponseHead, readResponseHead } from "./response-head.ts";
