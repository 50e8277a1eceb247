// Requests and answers that are mostly right and wrong in the ways that matter:
// made from parts with a taste for trouble, then damaged at random.

import type { Random } from "./random.ts";

type Choices = readonly [string, ...string[]];

const METHODS: Choices = [
  "GET",
  "GET",
  "GET",
  "POST",
  "POST",
  "PUT",
  "HEAD",
  "OPTIONS",
  "DELETE",
  "PATCH",
  "TRACE",
  "QUERY",
];
const ODD_METHODS: Choices = ["CONNECT", "get", "BREW", "", "G\0T", "GET/", "PRI", "GETT", "M-SEARCH", "SOURCE"];
const TARGETS: Choices = ["/", "/a?b=c", "/%20x", "/a|b^{}", "http://cat1.localhost/x", "*", "/?", "//x", "/a;b=c,d"];
const ODD_TARGETS: Choices = [
  "a",
  "/a#b",
  "/caf\xe9",
  "/a b",
  "http://other/",
  "http://me@cat1.localhost/",
  "https://cat1.localhost:443/",
  "ws://cat1.localhost/",
  "http:/x",
  "http://",
  "cat1.localhost:80",
  "/\x7f",
  "/\t",
  "",
  "http://cat1.localhost?x",
  "http://[::1]/",
  "HTTP://CAT1.localhost:80",
];
const VERSIONS: Choices = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"];
const ODD_VERSIONS: Choices = [
  "HTTP/1.2",
  "HTTP/2.0",
  "HTTP/0.9",
  "http/1.1",
  "HTTP/1.1 ",
  "HTTP/11",
  "HTTP/1.",
  "",
  "ICE/1.0",
];
const HOSTS: Choices = [
  "cat1.localhost",
  "cat1.localhost",
  "cat1.localhost:8080",
  "Cat1.Localhost.",
  "[::1]:80",
  "127.0.0.1",
];
const ODD_HOSTS: Choices = ["", "a b", "a:b", "me@a", "a..b", "[::1", "a:99999", "a,b", "a/b", "\xe9", "a\tb"];
const LINES: Choices = [
  "Accept: */*",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
  "Cookie: a=b; c=d",
  "X-Empty:",
  "X-Padded: \t value \t ",
  "X-Name: caf\xc3\xa9",
  "Connection: keep-alive",
  "Connection: close",
  "Connection: X-Padded, keep-alive",
  "Connection: ,keep-alive,,",
  "Keep-Alive: timeout=5",
  "TE: trailers",
  "Trailer: X-Sum",
  "Expect: 100-continue",
  "Expect: something",
  "Via: 1.1 other",
  "X-Forwarded-For: 203.0.113.7",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Upgrade: h2c",
  "Proxy-Connection: keep-alive",
  "Content-Type: text/plain",
];
const ODD_LINES: Choices = [
  " folded",
  "\tfolded",
  "X-A : b",
  "X-A",
  ": b",
  "X-A: b\rc",
  "X-A: b\nc",
  "X-A: b\0c",
  "X-A: \x7f",
  "X\xe9: b",
  "X(a): b",
  "Connection: content-length",
  "Connection: a b",
  "Host: cat1.localhost",
  "Content-Length: 3",
  "Content-Length: 3, 3",
  "Content-Length: +3",
  "Content-Length: 03",
  "Content-Length: 0x3",
  "Content-Length: 3 3",
  "Content-Length:",
  "Content-Length: 18446744073709551616",
  "Content_Length: 3",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding: chunked;q=1",
  "Transfer-Encoding: \x0bchunked",
  "Transfer-Encoding : chunked",
  "Transfer-Encoding:\tchunked ",
  "Transfer_Encoding: chunked",
  "transfer-encoding: CHUNKED",
];
const ODD_CHUNKS: Choices = [
  "3 \r\nabc\r\n",
  "3\nabc\r\n",
  "3\r\nabcd\r\n",
  "3\r\nab\r\n",
  "3\r\nabc\n",
  "3\r\nabc\r",
  "0x3\r\nabc\r\n",
  "+3\r\nabc\r\n",
  " 3\r\nabc\r\n",
  "ffffffffffffffff\r\nabc\r\n",
  "10000000000000003\r\nabc\r\n",
  "3;\r\nabc\r\n",
  "3; a=b\r\nabc\r\n",
  '3;a="b\r\nabc\r\n',
  "3;a b\r\nabc\r\n",
  "3;a\nb\r\nabc\r\n",
  "\r\n",
  "3;a=\0\r\nabc\r\n",
];
const TRAILERS: Choices = ["X-Sum: 1\r\n", "X-A: b\r\nX-B:\r\n"];
const ODD_TRAILERS: Choices = [
  "Content-Length: 3\r\n",
  "X-A : b\r\n",
  " x\r\n",
  "X\r\n",
  "X: a\nb\r\n",
  "X: \0\r\n",
  "GET / HTTP/1.1\r\n",
];
/** Bytes that parsers disagree on. */
const SPECIAL: Choices = [
  "\r",
  "\n",
  "\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ",",
  ";",
  "\x0b",
  "\x7f",
  "\x80",
  "\xff",
  "0",
  "a",
  "/",
  "\r\n\r\n",
];

function mostly(random: Random, usual: Choices, odd: Choices, oneIn: number): string {
  return random.oneIn(oneIn) ? random.pick(odd) : random.pick(usual);
}

/** One request, sound about half of the time. */
export function generateRequest(random: Random): string {
  // Nearly half are not damaged by the parts' own choices.
  const calm = random.oneIn(2) ? 400 : 12;
  const line = [
    mostly(random, METHODS, ODD_METHODS, calm),
    mostly(random, TARGETS, ODD_TARGETS, calm),
    mostly(random, VERSIONS, ODD_VERSIONS, calm),
  ].join(" ");
  const lines: string[] = [];
  if (!random.oneIn(calm))
    lines.push(`Host:${random.pick([" ", "", "  ", "\t"])}${mostly(random, HOSTS, ODD_HOSTS, calm)}`);
  for (let count = random.below(5); count > 0; count--) lines.push(mostly(random, LINES, ODD_LINES, calm));
  const text = `${line}\r\n${withBody(random, lines, calm)}`;
  const before = random.oneIn(calm) ? random.pick(["\r\n", "\n", "\r\n\r\n", " ", "\r"]) : "";
  return damage(random, before + text);
}

/** One answer to a GET. */
export function generateResponse(random: Random): string {
  const calm = random.oneIn(2) ? 400 : 12;
  const version = mostly(random, VERSIONS, ODD_VERSIONS, calm);
  const status = mostly(
    random,
    ["200 OK", "200", "404 Not Found", "204 No Content", "304 Not Modified", "500 caf\xe9", "100 Continue", "103 X"],
    ["20 OK", "2000 OK", "101 X", "-20", "200OK", "099 X", "200 \0", "200 a\nb", "99 X", "   "],
    calm,
  );
  const lines: string[] = [];
  for (let count = random.below(5); count > 0; count--) lines.push(mostly(random, LINES, ODD_LINES, calm));
  return damage(random, `${version} ${status}\r\n${withBody(random, lines, calm)}`);
}

function withBody(random: Random, lines: string[], calm: number): string {
  let body = "";
  const kind = random.below(9);
  if (kind < 3) {
    body = "x".repeat(random.below(20));
    lines.push(`Content-Length: ${random.oneIn(calm) ? body.length + 1 : body.length}`);
  } else if (kind < 5) {
    lines.push("Transfer-Encoding: chunked");
    for (let count = random.below(4); count > 0; count--) body += chunk(random, calm);
    body += `${random.pick(["0", "00", "0;a", '0;a="b;c"'])}\r\n`;
    if (random.oneIn(4)) body += mostly(random, TRAILERS, ODD_TRAILERS, calm);
    body += "\r\n";
  }
  // Order matters to parsers that decide as they go.
  for (let at = lines.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    const swapped = lines[at] ?? "";
    lines[at] = lines[other] ?? "";
    lines[other] = swapped;
  }
  return `${lines.map((line) => `${line}\r\n`).join("")}\r\n${body}`;
}

function chunk(random: Random, calm: number): string {
  if (random.oneIn(calm)) return random.pick(ODD_CHUNKS);
  const size = 1 + random.below(300);
  const digits = random.oneIn(2) ? size.toString(16) : `0${size.toString(16).toUpperCase()}`;
  const extension = random.oneIn(4) ? random.pick([";a", ";a=b", ";a=b;c", ';a="b c"', ';a="b\\"c"']) : "";
  return `${digits}${extension}\r\n${"y".repeat(size)}\r\n`;
}

/** Half of the time: one to three bytes or lines inserted, removed, replaced or doubled. */
function damage(random: Random, text: string): string {
  if (random.oneIn(2)) return text;
  let damaged = text;
  for (let count = 1 + random.below(3); count > 0; count--) {
    const at = random.below(damaged.length + 1);
    const tail = damaged.slice(at);
    switch (random.below(5)) {
      case 0:
        damaged = damaged.slice(0, at) + random.pick(SPECIAL) + tail;
        break;
      case 1:
        damaged = damaged.slice(0, at) + tail.slice(1 + random.below(3));
        break;
      case 2:
        damaged = damaged.slice(0, at) + random.pick(SPECIAL) + tail.slice(1);
        break;
      case 3:
        damaged = damaged.slice(0, at) + String.fromCharCode(random.below(256)) + tail.slice(1);
        break;
      default: {
        const lineEnd = damaged.indexOf("\r\n", at);
        if (lineEnd >= 0) damaged = damaged.slice(0, lineEnd) + damaged.slice(at, lineEnd) + damaged.slice(lineEnd);
      }
    }
  }
  return damaged;
}
