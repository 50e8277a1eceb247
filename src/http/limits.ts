// The bounds of a head and of a body's framing, in one place.

export interface HttpLimits {
  /** A whole head, its last empty line included. @default 65_536 */
  readonly maxHeadBytes: number;
  /** A request line or status line. RFC 9112 §3 asks for 8,000 at least. @default 16_384 */
  readonly maxStartLineBytes: number;
  /** Field lines in one head. @default 200 */
  readonly maxFields: number;
  /** One chunk's line, extensions included. @default 1_024 */
  readonly maxChunkLineBytes: number;
  /** Chunk extensions of a whole body (RFC 9112 §7.1.1 asks for a bound on the sum). @default 16_384 */
  readonly maxExtensionBytes: number;
  /** The trailer section. @default 16_384 */
  readonly maxTrailerBytes: number;
}

export const HTTP_LIMITS: HttpLimits = {
  maxHeadBytes: 65_536,
  maxStartLineBytes: 16_384,
  maxFields: 200,
  maxChunkLineBytes: 1_024,
  maxExtensionBytes: 16_384,
  maxTrailerBytes: 16_384,
};
