// HTTP/1.1 heads and body framing. Pure: bytes in, values out; it owns no socket. Imports node: only.
export {};
