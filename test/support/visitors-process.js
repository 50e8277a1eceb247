// Visitors of one name, and the target that answers them, in a process where nothing else happens: what they wait for is not
// what a test is busy with. Tells as JSON lines where the target is, then of each visit when it began, how long it took and its
// status; ends with its standard input. Arguments: the server's port, the host, ms from one visit to the next.

import { createServer, request } from "node:http";

const [port = "", host = "", everyMs = ""] = process.argv.slice(2);
const tell = (/** @type {object} */ line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const target = createServer((_, response) => response.end("hello"));
target.listen(0, "127.0.0.1", () => {
  const address = target.address();
  tell({ type: "target", port: typeof address === "object" ? address?.port : 0 });
});

/** Each over a connection of its own. */
function visit() {
  const at = Date.now();
  const begunAt = performance.now();
  const over = (/** @type {string} */ result) => tell({ type: "visit", at, ms: performance.now() - begunAt, result });
  request({ host: "127.0.0.1", port, path: "/hello", headers: { host }, agent: false }, (response) => {
    response.resume().on("end", () => over(String(response.statusCode)));
  })
    .on("error", (error) => over(String(error)))
    .end();
}

process.stdin.once("data", () => setInterval(visit, Number(everyMs))).on("end", () => process.exit(0));
