// A small web service to put behind a tunnel: `node examples/origin.js 9090`. Port 0 takes a free one; the first line
// that it prints is its address. Shows what reaches it, and answers a page, an echo, and a clock as server-sent events.

import { createServer } from "node:http";

const port = Number(process.argv[2] ?? 9090);

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://origin");
  if (pathname === "/clock") return tick(response);
  if (pathname === "/echo") return request.pipe(response);
  response.setHeader("content-type", request.headers.accept?.includes("text/html") ? "text/html" : "text/plain");
  const visitor = request.headers["x-forwarded-for"] ?? request.socket.remoteAddress;
  const text = `Hello from a service on this laptop. You are ${visitor} and asked for ${pathname}.`;
  response.end(response.getHeader("content-type") === "text/html" ? pageOf(text) : `${text}\n`);
});

/** @param {import("node:http").ServerResponse} response */
function tick(response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const timer = setInterval(() => response.write(`data: ${new Date().toLocaleTimeString()}\n\n`), 1_000);
  response.on("close", () => clearInterval(timer));
}

/** @param {string} text */
function pageOf(text) {
  const safe = text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
  return `<!doctype html><meta charset="utf-8"><title>duplexity</title>
<style>body{font:1.2rem/1.6 system-ui;max-width:40rem;margin:15vh auto;padding:0 1rem}time{font-variant-numeric:tabular-nums}</style>
<h1>It works</h1><p>${safe}</p><p>Streamed through the tunnel each second: <time>…</time></p>
<script>new EventSource("/clock").onmessage=(e)=>{document.querySelector("time").textContent=e.data}</script>`;
}

server.listen(port, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`http://localhost:${address.port}`);
});
