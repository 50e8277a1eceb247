// Shortcuts of the tests in this folder: heads as they are on the wire.

import {
  type AnswerContext,
  HttpFault,
  parseRequestHead,
  parseResponseHead,
  type RequestHead,
  type ResponseHead,
} from "../../src/http/index.ts";

export const GET: AnswerContext = { method: "GET", upgrade: null };

/** A head that must be sound. */
export function request(text: string): RequestHead {
  const head = parseRequestHead(text);
  if (head instanceof HttpFault) throw new Error(`${head.code}: ${head.message}`);
  return head;
}

export function response(text: string, context: AnswerContext = GET): ResponseHead {
  const head = parseResponseHead(text, context);
  if (head instanceof HttpFault) throw new Error(`${head.code}: ${head.message}`);
  return head;
}

/** `code: message` of a head that must be refused. */
export function refused(head: RequestHead | ResponseHead | HttpFault): string {
  return head instanceof HttpFault ? `${head.code}: ${head.message}` : "accepted";
}

/** A GET with these field lines after its Host. */
export function get(...lines: string[]): string {
  return ["GET / HTTP/1.1", "Host: cat1.localhost", ...lines, "", ""].join("\r\n");
}

export function post(...lines: string[]): string {
  return ["POST / HTTP/1.1", "Host: cat1.localhost", ...lines, "", ""].join("\r\n");
}

export function ok(...lines: string[]): string {
  return ["HTTP/1.1 200 OK", ...lines, "", ""].join("\r\n");
}
