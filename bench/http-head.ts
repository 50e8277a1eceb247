// What reading a head, forwarding it and finding a body's end cost: nanoseconds
// each, the best of several rounds. No sockets: run it beside `npm run bench`,
// after its build, with `node dist-bench/bench/http-head.js`.

import {
  BodyScanner,
  buildRequestHead,
  buildResponseHead,
  Forwarding,
  HeadCollector,
  headSource,
  RequestHeadCache,
  ResponseHeadCache,
  readRequestHead,
  readResponseHead,
} from "../src/http/index.ts";

const BROWSER = [
  "GET /assets/index-4f1c2a9b.js?v=20251123 HTTP/1.1",
  "Host: cat1.tunnel.example.com",
  "Connection: keep-alive",
  'sec-ch-ua: "Chromium";v="130", "Not?A_Brand";v="99"',
  "sec-ch-ua-mobile: ?0",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
  'sec-ch-ua-platform: "Linux"',
  "Accept: */*",
  "Sec-Fetch-Site: same-origin",
  "Sec-Fetch-Mode: cors",
  "Sec-Fetch-Dest: script",
  "Referer: https://cat1.tunnel.example.com/",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9",
  "Cookie: session=2f9d1b8e6c",
  "",
  "",
].join("\r\n");
const WRK = "GET / HTTP/1.1\r\nHost: cat1.localhost:8080\r\n\r\n";
const ANSWER = [
  "HTTP/1.1 200 OK",
  "Server: nginx/1.24.0",
  "Date: Sun, 23 Nov 2025 12:00:00 GMT",
  "Content-Type: application/octet-stream",
  "Content-Length: 36",
  "Connection: keep-alive",
  "",
  "",
].join("\r\n");

const ROUNDS = 7;
const CALLS = 200_000;
/** Results go here, so that no call can be left out. */
let sink = 0;

function measure(name: string, call: () => number): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    // CPU time, not the clock: others may want the processor too.
    const start = process.cpuUsage();
    for (let done = 0; done < CALLS; done++) sink += call();
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, ((user + system) * 1_000) / CALLS);
  }
  console.log(`${name.padEnd(58)} ${best.toFixed(0).padStart(7)} ns`);
}

function measureRequest(name: string, text: string): void {
  const bytes = Buffer.from(text, "latin1");
  const collector = new HeadCollector("request");
  const cache = new RequestHeadCache();
  const connection = new Forwarding({
    address: "192.0.2.1",
    proto: "https",
    port: 443,
    pseudonym: "dpx-3f9a",
    isTrusted: false,
  });
  const prefix = `${name}, ${bytes.length} bytes`;
  measure(`${prefix}: find its end`, () => {
    const next = collector.push(bytes, 0);
    collector.clear();
    return next;
  });
  measure(`${prefix}: parse`, () => {
    const head = readRequestHead(headSource(bytes, 0, bytes.length));
    return head.kind === "request" ? head.host.length : 0;
  });
  measure(`${prefix}: parse, build`, () => {
    const head = readRequestHead(headSource(bytes, 0, bytes.length));
    return head.kind === "request" ? buildRequestHead(head, connection).length : 0;
  });
  measure(`${prefix}: from the cache`, () => {
    const head = cache.read(bytes, 0, bytes.length);
    return head.kind === "request" ? head.host.length : 0;
  });
  const another = Buffer.from(text.replace("Host:", "HOST:"), "latin1");
  let turn = 0;
  measure(`${prefix}: from the cache, build (not the connection's last)`, () => {
    const head = cache.read(++turn % 2 === 0 ? bytes : another, 0, bytes.length);
    return head.kind === "request" ? buildRequestHead(head, connection).length : 0;
  });
  measure(`${prefix}: find, from the cache, same connection, built`, () => {
    const next = collector.push(bytes, 0);
    const head = cache.read(collector.buffer, collector.start, next);
    collector.clear();
    return head.kind === "request" ? buildRequestHead(head, connection).length : 0;
  });
}

function measureAnswer(): void {
  const bytes = Buffer.from(ANSWER, "latin1");
  const request = { method: "GET", upgrade: null };
  const forwarding = { keepAlive: true, version: 1 } as const;
  const cache = new ResponseHeadCache();
  const prefix = `answer, ${bytes.length} bytes`;
  measure(`${prefix}: parse`, () => {
    const head = readResponseHead(headSource(bytes, 0, bytes.length), request);
    return head.kind === "response" ? head.status : 0;
  });
  measure(`${prefix}: parse, build`, () => {
    const head = readResponseHead(headSource(bytes, 0, bytes.length), request);
    return head.kind === "response" ? Buffer.from(buildResponseHead(head, forwarding), "latin1").length : 0;
  });
  measure(`${prefix}: from the cache, build, encode`, () => {
    const head = cache.read(bytes, 0, bytes.length, request);
    return head.kind === "response" ? Buffer.from(buildResponseHead(head, forwarding), "latin1").length : 0;
  });
}

function measureBodies(): void {
  const scanner = new BodyScanner("DPX_TARGET_ANSWER");
  const large = Buffer.concat([Buffer.from("40000\r\n"), Buffer.alloc(0x40000), Buffer.from("\r\n0\r\n\r\n")]);
  const small = Buffer.from(`${"5\r\nhello\r\n".repeat(100)}0\r\n\r\n`);
  for (const [name, bytes] of [
    ["one chunk of 256 KiB", large],
    ["100 chunks of 5 bytes", small],
  ] as const) {
    measure(`body, ${name}`, () => {
      scanner.begin({ kind: "chunked" });
      return scanner.scan(bytes, 0);
    });
  }
}

measureRequest("browser", BROWSER);
measureRequest("wrk", WRK);
measureAnswer();
measureBodies();
if (sink === 0) throw new Error("Nothing was read");
