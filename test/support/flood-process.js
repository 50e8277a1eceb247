// A process of its own that loads a server, so that the test's own event loop stays free to measure. Prints its
// origin's port, then reads one line of JSON from stdin and loads until it is killed:
// {"kind":"download"|"upload","port":…,"hostname":…,"connections":…}

import { createServer } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";

const BODY = Buffer.alloc(1_048_576, "flood ");

const origin = createServer((request, response) => {
  request.resume();
  if (request.method === "GET") response.end(BODY);
  else request.on("end", () => response.end());
});
origin.listen(0, "127.0.0.1", () => {
  const address = origin.address();
  if (typeof address === "object" && address !== null) console.log(address.port);
});

createInterface({ input: process.stdin }).once("line", (line) => {
  const { kind, port, hostname, connections } = JSON.parse(line);
  for (let index = 0; index < connections; index += 1) {
    if (kind === "download") download(port, hostname);
    else upload(port, hostname);
  }
  console.log("loading");
});

/** Asks for the body again and again on one connection, and throws it away. */
function download(/** @type {number} */ port, /** @type {string} */ hostname) {
  const socket = connect(port, "127.0.0.1");
  const ask = () => socket.write(`GET / HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
  let left = 0;
  socket.on("connect", ask);
  socket.on("data", (chunk) => {
    if (left === 0) left = BODY.length + chunk.indexOf("\r\n\r\n") + 4;
    left -= chunk.length;
    if (left === 0) ask();
  });
  socket.on("error", () => {});
}

/** One body without end. */
function upload(/** @type {number} */ port, /** @type {string} */ hostname) {
  const socket = connect(port, "127.0.0.1");
  const pump = () => {
    while (socket.write(BODY));
  };
  socket.write(`POST / HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 100000000000000\r\n\r\n`);
  socket.on("drain", pump);
  socket.on("error", () => {});
  pump();
}
