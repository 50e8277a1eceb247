// Reads a request's body as JSON, with a bound on it, and what its fields say. Knows no field.

import type { IncomingMessage } from "node:http";
import { asDuplexityError, DuplexityError, fields } from "../protocol/index.ts";

/** No request of ours needs more. */
export const MAX_BODY_BYTES = 16_384;

/** A refusal whose HTTP status is not the one of its code. */
export class HttpRefusal extends Error {
  readonly status: number;
  readonly error: DuplexityError;

  constructor(status: number, error: DuplexityError) {
    super(error.message);
    this.status = status;
    this.error = error;
  }
}

/** Rejects with an HttpRefusal: 415 if it is not `application/json`, 413 if it is too long, 400 if it is not JSON. */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const type = (request.headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase();
  // A form on somebody's web page can send any other type here without asking first.
  if (type !== "application/json") {
    throw refusal(415, `its Content-Type is "${type ?? ""}", application/json is expected`);
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw refusal(413, `its body has more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw refusal(400, "its body is not JSON");
  }
}

/** Reads the fields of a body; what is wrong with one is a wrong request here, not a wrong control message. */
export function readFields<T>(value: unknown, read: (body: fields.Fields) => T): T {
  try {
    const { value: body } = fields.readObject(value, "body");
    return read({ path: "", value: body });
  } catch (error) {
    const { code, message } = asDuplexityError(error);
    if (code !== "DPX_MESSAGE_INVALID") throw error;
    throw new DuplexityError("DPX_REQUEST_INVALID", message, { cause: error });
  }
}

export function refusal(status: number, why: string, hint?: string): HttpRefusal {
  return new HttpRefusal(
    status,
    new DuplexityError("DPX_REQUEST_INVALID", `Cannot serve the request: ${why}`, { hint }),
  );
}
