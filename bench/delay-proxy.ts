// A process between two TCP sockets that behaves like one long connection: each byte arrives half a round trip later, and
// no more is in flight than a window that doubles each round trip up to a maximum, as TCP's does.
// Usage: delay-proxy.js PORT RTT_MS WINDOW_BYTES

import { connect, createServer, type Socket } from "node:net";

const [targetPort = 0, rttMs = 0, maxWindowBytes = 0] = process.argv.slice(2).map(Number);
/** RFC 6928: ten segments. */
const INITIAL_WINDOW_BYTES = 14_600;
/** RFC 5681 §4.1: after so many silent round trips a connection starts slowly again, also the tunnel's long-lived one. */
const IDLE_ROUND_TRIPS = 3;

interface Flight {
  readonly chunk: Buffer;
  readonly arrivesAt: number;
  readonly acknowledgedAt: number;
}

/** Carries what `from` says to `to`. */
function carry(from: Socket, to: Socket): void {
  const flights: Flight[] = [];
  const unacknowledged: Flight[] = [];
  let inFlightBytes = 0;
  let windowBytes = INITIAL_WINDOW_BYTES;
  let lastSentAt = 0;
  let timer: NodeJS.Timeout | null = null;
  let hasEnded = false;

  function schedule(): void {
    if (timer !== null) return;
    const next = Math.min(flights[0]?.arrivesAt ?? Infinity, unacknowledged[0]?.acknowledgedAt ?? Infinity);
    if (next !== Infinity) timer = setTimeout(tick, Math.max(0, next - performance.now()));
  }

  function tick(): void {
    timer = null;
    const now = performance.now();
    while (flights[0] !== undefined && flights[0].arrivesAt <= now) {
      const flight = flights.shift();
      if (flight !== undefined && !to.destroyed) to.write(flight.chunk);
    }
    while (unacknowledged[0] !== undefined && unacknowledged[0].acknowledgedAt <= now) {
      const flight = unacknowledged.shift();
      inFlightBytes -= flight?.chunk.length ?? 0;
      windowBytes = Math.min(maxWindowBytes, windowBytes + (flight?.chunk.length ?? 0));
    }
    // A receiver that does not read closes its window, as in TCP.
    if (from.isPaused() && inFlightBytes + to.writableLength < windowBytes) from.resume();
    if (hasEnded && flights.length === 0) to.end();
    schedule();
  }

  from.on("data", (chunk: Buffer) => {
    const now = performance.now();
    if (inFlightBytes === 0 && now - lastSentAt > rttMs * IDLE_ROUND_TRIPS) windowBytes = INITIAL_WINDOW_BYTES;
    lastSentAt = now;
    const flight = { chunk, arrivesAt: now + rttMs / 2, acknowledgedAt: now + rttMs };
    flights.push(flight);
    unacknowledged.push(flight);
    inFlightBytes += chunk.length;
    if (inFlightBytes + to.writableLength >= windowBytes) from.pause();
    schedule();
  });
  to.on("drain", () => {
    if (from.isPaused() && inFlightBytes < windowBytes) from.resume();
  });
  from.on("end", () => {
    hasEnded = true;
    setTimeout(tick, rttMs / 2);
  });
  from.on("error", () => to.destroy());
  from.on("close", () => setTimeout(() => to.destroy(), rttMs));
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  carry(near, far);
  carry(far, near);
}).listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  console.log(JSON.stringify({ type: "listening", port }));
});
