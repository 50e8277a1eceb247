// Requests that no well-meaning visitor sends. Known ones with the status that they must get, and a generator that
// makes any number of others out of good and bad parts.

import { seededRandom } from "./seeded.ts";

export interface HostileRequest {
  readonly what: string;
  readonly bytes: string;
  /** Statuses that are right; the connection must be closed after each. */
  readonly statuses: readonly number[];
}

const HOST = "Host: cat1.localhost\r\n";

function bad(what: string, bytes: string, ...statuses: number[]): HostileRequest {
  return { what, bytes, statuses: statuses.length > 0 ? statuses : [400] };
}

export const HOSTILE_REQUESTS: readonly HostileRequest[] = [
  bad("two lengths that differ", `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`),
  bad("a list as length", `POST / HTTP/1.1\r\n${HOST}Content-Length: 1, 2\r\n\r\nab`),
  bad(
    "a length and chunks",
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ),
  bad("a negative length", `POST / HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`),
  bad("a length with a plus", `POST / HTTP/1.1\r\n${HOST}Content-Length: +1\r\n\r\na`),
  bad("a hexadecimal length", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x1\r\n\r\na`),
  bad("a length beyond 2^64", `POST / HTTP/1.1\r\n${HOST}Content-Length: 99999999999999999999\r\n\r\n`, 400, 413),
  bad("an empty length", `POST / HTTP/1.1\r\n${HOST}Content-Length:\r\n\r\n`),
  bad("an unknown coding", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: cow\r\n\r\n`, 501, 400),
  bad("chunked twice", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`, 400, 501),
  bad("chunked not last", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, gzip\r\n\r\n`, 400, 501),
  bad(
    "a coding hidden by a tab",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\tchunked\x0b\r\n\r\n0\r\n\r\n`,
    400,
    501,
  ),
  bad("chunks in HTTP/1.0", `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400, 501),
  bad("a folded line", `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`),
  bad("a fold before the first field", `GET / HTTP/1.1\r\n ${HOST}\r\n`),
  bad("a space before the colon", `GET / HTTP/1.1\r\nHost : cat1.localhost\r\n\r\n`),
  bad("no colon", `GET / HTTP/1.1\r\n${HOST}nothing\r\n\r\n`),
  bad("an empty name", `GET / HTTP/1.1\r\n${HOST}: x\r\n\r\n`),
  bad("bare line feeds", `GET / HTTP/1.1\nHost: cat1.localhost\n\n`),
  bad("a bare line feed", `GET / HTTP/1.1\r\n${HOST}X: 1\nY: 2\r\n\r\n`),
  bad("a bare carriage return", `GET / HTTP/1.1\r\n${HOST}X: 1\rY: 2\r\n\r\n`),
  bad("a NUL", `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`),
  bad("an escape", `GET / HTTP/1.1\r\n${HOST}X: \x1b[2J\r\n\r\n`),
  bad("no host", `GET / HTTP/1.1\r\n\r\n`),
  bad("two hosts", `GET / HTTP/1.1\r\n${HOST}Host: cat1.localhost\r\n\r\n`),
  bad("two hosts that differ", `GET / HTTP/1.1\r\n${HOST}Host: other.localhost\r\n\r\n`),
  bad("a list of hosts", `GET / HTTP/1.1\r\nHost: cat1.localhost, other.localhost\r\n\r\n`),
  bad("a host with a user", `GET / HTTP/1.1\r\nHost: a@cat1.localhost\r\n\r\n`),
  bad("a host with a path", `GET / HTTP/1.1\r\nHost: cat1.localhost/x\r\n\r\n`),
  bad("a conflict of host and target", `GET http://other.localhost/ HTTP/1.1\r\n${HOST}\r\n`, 400, 421),
  bad("a port that is none", `GET / HTTP/1.1\r\nHost: cat1.localhost:99999\r\n\r\n`, 400, 421),
  bad("CONNECT", `CONNECT cat1.localhost:443 HTTP/1.1\r\n${HOST}\r\n`, 400, 405, 501),
  bad("a target without a slash", `GET index.html HTTP/1.1\r\n${HOST}\r\n`),
  bad("a space in the target", `GET /a b HTTP/1.1\r\n${HOST}\r\n`),
  bad("two spaces", `GET  / HTTP/1.1\r\n${HOST}\r\n`),
  bad("a fragment", `GET /#x HTTP/1.1\r\n${HOST}\r\n`, 400, 200),
  bad("a method in brackets", `G(T / HTTP/1.1\r\n${HOST}\r\n`),
  bad("HTTP/2", `GET / HTTP/2.0\r\n${HOST}\r\n`, 400, 505),
  bad("HTTP/1.2", `GET / HTTP/1.2\r\n${HOST}\r\n`, 400, 505),
  bad("http in lower case", `GET / http/1.1\r\n${HOST}\r\n`, 400, 505),
  bad("HTTP/0.9", `GET /\r\n`, 400, 505),
  bad("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505),
  bad("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
  bad("a head without end", `GET / HTTP/1.1\r\n${HOST}${"X: y\r\n".repeat(40_000)}`, 431),
  bad("a line without end", `GET /${"a".repeat(300_000)}`, 414, 431),
  bad("a chunk size that is none", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`),
  bad("a chunk size beyond 2^64", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${"f".repeat(17)}\r\n`),
  bad("a negative chunk", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n-1\r\n`),
  bad(
    "a chunk that is longer than it says",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`,
  ),
  bad("a chunk with a bare line feed", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n`),
];

const METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "BREW", "G\0T", "", "get", "CONNECT", "TRACE"];
const TARGETS = ["/", "*", "//", "/%", "/..", "http://cat1.localhost/", "http://", "/\x7f", "/é", "", "/ ", "\\"];
const VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.9", "HTTP/9", "HTTP/1.1 ", "HTTP", "", "HTTP/1.11"];
const NAMES = [
  "Host",
  "Content-Length",
  "Transfer-Encoding",
  "Connection",
  "Upgrade",
  "X",
  "X-\0",
  "Expect",
  "TE",
  "é",
];
const VALUES = [
  "cat1.localhost",
  "5",
  "chunked",
  "close",
  "upgrade",
  "websocket",
  "",
  " ",
  "a\0",
  "100-continue",
  "-1",
  "x".repeat(9_000),
];
const ENDS = ["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n ", "\0\r\n"];
const BODIES = [
  "",
  "",
  "hello",
  "5\r\nhello\r\n0\r\n\r\n",
  "fffffffffffffffff\r\n",
  "0\r\nX: y\r\n\r\n",
  "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
];

/** `count` requests, the same for the same seed: mostly wrong, some right by chance. */
export function* randomRequests(seed: number, count: number): Generator<string> {
  const random = seededRandom(seed);
  const pick = (from: readonly string[]) => from[Math.floor(random() * from.length)] ?? "";
  /** The usual one most of the time, so that the parser gets past the first line. */
  const mostly = (usual: string, from: readonly string[]) => (random() < 0.8 ? usual : pick(from));
  for (let index = 0; index < count; index += 1) {
    const head = [`${mostly("POST", METHODS)} ${mostly("/count?id=x", TARGETS)} ${mostly("HTTP/1.1", VERSIONS)}`];
    if (random() < 0.9) head.push("Host: cat1.localhost");
    for (let field = Math.floor(random() * 5); field > 0; field -= 1) {
      head.push(`${pick(NAMES)}${mostly(": ", [":", " : ", "", ":\t"])}${pick(VALUES)}`);
    }
    const text = head.map((line) => line + mostly("\r\n", ENDS)).join("") + mostly("\r\n", ENDS) + pick(BODIES);
    const characters = [...text];
    while (random() < 0.2) {
      characters[Math.floor(random() * characters.length)] = String.fromCharCode(Math.floor(random() * 256));
    }
    yield characters.join("");
  }
}
