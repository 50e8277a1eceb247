// What we refuse although node:http takes it: docs/http-strictness.md gives the
// reason for each. A refusal that is not here and not in node:http fails the fuzz.

export const KNOWN_REFUSALS: readonly RegExp[] = [
  // The request line
  /empty lines stand before the request line/,
  /its first byte is no upper-case letter/,
  /^Cannot pass the method "(SOURCE|.*)" on: it is not supported/,
  /the target "\*" belongs to OPTIONS/,
  /the target .* is neither a path nor an http URL/,
  /the request target holds "#"/,
  /^Cannot speak HTTP\/(0\.9|2\.0): /,
  /the request target is missing/,
  /the request target holds byte 0x0[ad]/,
  /the request line ends in/,
  // Host
  /it has no Host/,
  /it has two Host fields/,
  /its Host .* is not the host of its target/,
  /(its Host|the host in the target) .* (is empty|has userinfo|has an empty label|has an invalid port|has no hostname)/,
  /(its Host|the host in the target) .* has a character that no hostname has/,
  /(its Host|the host in the target) .* has no valid IPv6 address in its brackets/,
  // Framing and Connection
  /HTTP\/1\.0 has no Transfer-Encoding/,
  /TRACE has no content/,
  /it has two Transfer-Encoding fields/,
  /its Transfer-Encoding .* is not chunked/,
  /a tab stands beside the value of "(content-length|transfer-encoding)"/i,
  /its Content-Length .* is not a plain number/,
  /Connection is not a list of tokens/,
  /Connection names (content-length|host|transfer-encoding)/,
  // Bodies
  /a chunk extension is malformed/,
  /must not be in a trailer/,
];
