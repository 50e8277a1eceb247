// Codes with which a client itself is over, and not only a way to it. No code besides.

import type { ErrorCode } from "../../protocol/index.ts";

/** A session that ends with one of these waits for nobody. */
export const FINAL_CODES: ReadonlySet<ErrorCode> = new Set([
  "DPX_KICKED",
  "DPX_BANNED",
  "DPX_REPLACED",
  "DPX_CANCELLED",
  "DPX_AUTH_INVALID",
  "DPX_FORBIDDEN",
]);
