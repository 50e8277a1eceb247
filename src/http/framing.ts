// How a message's body ends. RFC 9112 §6.3, without its lenient branches.

/** `close`: answers only, until the target ends the connection. */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

export const NO_BODY: Framing = { kind: "none" };
export const CHUNKED: Framing = { kind: "chunked" };
export const UNTIL_CLOSE: Framing = { kind: "close" };

/**
 * The value of a Content-Length (RFC 9110 §8.6), or -1. Refuses signs, lists ("5, 5"), hex, anything past 2^53-1, and
 * leading zeros, which some readers take for octal.
 */
export function parseContentLength(value: string): number {
  if (value.length === 0 || value.length > 16) return -1;
  if (value.length > 1 && value.charCodeAt(0) === 0x30) return -1;
  let bytes = 0;
  for (let at = 0; at < value.length; at++) {
    const digit = value.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    bytes = bytes * 10 + digit;
  }
  return bytes <= Number.MAX_SAFE_INTEGER ? bytes : -1;
}
