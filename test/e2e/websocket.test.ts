// Long-lived conversations through the tunnel: WebSockets and event streams.

import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { barMs, IS_FULL } from "../support/bars.ts";
import { seededBytes, seededRandom } from "../support/seeded.ts";
import { useStage } from "../support/stage.ts";
import { type RunningTunnel, startFaultyTunnel, startTunnel } from "../support/tunnel.ts";
import { openVisit } from "../support/visitor.ts";
import { within } from "../support/wait.ts";

const stage = useStage();

async function openWebSocket(tunnel: RunningTunnel): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${tunnel.server.port}/echo`, {
    headers: { host: tunnel.hostname },
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
  });
  stage.defer(() => socket.terminate());
  await within(once(socket, "open"), 10_000, "the WebSocket to open");
  return socket;
}

interface Message {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

/** Sizes as real traffic mixes them: mostly small, some large, and three of 16 MiB. */
function* mixedMessages(count: number): Generator<Message> {
  const random = seededRandom(4);
  const pool = seededBytes(5, 16 * 1024 * 1024);
  for (let index = 0; index < count; index += 1) {
    const isHuge = index % Math.ceil(count / 3) === 1;
    const scale = random();
    const size = isHuge ? pool.length : Math.floor(scale < 0.9 ? random() * 200 : random() * 70_000);
    const isBinary = isHuge || random() < 0.5;
    const at = Math.floor(random() * (pool.length - size + 1));
    const bytes = pool.subarray(at, at + size);
    // Text has to be UTF-8: hexadecimal digits are.
    yield { data: isBinary ? bytes : Buffer.from(bytes.toString("hex").slice(0, size)), isBinary };
  }
}

/** Sends all with a bounded number under way, and holds each echo against what was sent. */
async function echoAll(socket: WebSocket, messages: Iterable<Message>): Promise<number> {
  const expected: Message[] = [];
  let received = 0;
  let failure: Error | null = null;
  let wake: () => void = () => {};
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    const sent = expected.shift();
    if (!sent || sent.isBinary !== isBinary || !sent.data.equals(data)) {
      failure ??= new Error(`Echo ${received} differs: ${data.length} bytes, sent ${sent?.data.length}`);
    }
    received += 1;
    wake();
  });
  socket.on("close", (code) => {
    failure ??= new Error(`Closed with ${code} after ${received} echoes`);
    wake();
  });
  let sent = 0;
  for (const message of messages) {
    expected.push(message);
    socket.send(message.data, { binary: message.isBinary });
    sent += 1;
    while (expected.length >= 64 && !failure) await new Promise<void>((resolve) => (wake = resolve));
    if (failure) throw failure;
  }
  while (received < sent && !failure) await new Promise<void>((resolve) => (wake = resolve));
  if (failure) throw failure;
  return received;
}

describe("WebSocket through the tunnel", () => {
  it("echoes 10,000 messages of mixed sizes, text and binary, exactly and in order", async () => {
    const socket = await openWebSocket(await startTunnel(stage));
    expect(await within(echoAll(socket, mixedMessages(10_000)), 100_000, "10,000 echoes")).toBe(10_000);
    socket.close(1000, "done");
    const [code] = await once(socket, "close");
    expect(code).toBe(1000);
  });

  it("goes on when the link under it is cut", async () => {
    const tunnel = await startFaultyTunnel(stage);
    const socket = await openWebSocket(tunnel);
    const stop = tunnel.link.cutEvery(300);
    await within(echoAll(socket, mixedMessages(3_000)), 100_000, "3,000 echoes");
    stop();
    expect(tunnel.link.cuts).toBeGreaterThan(1);
  });

  it("is kept while it idles for many times every timeout", async () => {
    const scaled = ["--idle-timeout", "200ms", "--head-timeout", "200ms", "--hold-timeout", "200ms"];
    const tunnel = await startTunnel(stage, {
      serverArgs: [...scaled, "--heartbeat-idle", "100ms", "--heartbeat-timeout", "2s"],
    });
    const socket = await openWebSocket(tunnel);
    await echoAll(socket, mixedMessages(1));
    // 30 minutes are 24 times the default idle timeout (75 s).
    await delay(200 * 24);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    const echo = once(socket, "message");
    socket.send("still there");
    expect(String((await within(echo, 5_000, "an echo"))[0])).toBe("still there");
  });
});

describe("Server-sent events through the tunnel", () => {
  it("arrive one by one, none waits for the next, and late by little", async () => {
    const tunnel = await startTunnel(stage);
    const [direct, tunnelled] = [
      await latencies(tunnel, tunnel.origin.port, "localhost"),
      await latencies(tunnel, tunnel.server.port, tunnel.hostname),
    ];
    const added = median(tunnelled) - median(direct);
    console.log(
      `SSE: direct ${median(direct).toFixed(2)} ms, tunnel ${median(tunnelled).toFixed(2)} ms (medians of 200)`,
    );
    expect(added).toBeLessThan(barMs(5));
  });

  it("are not cut while nothing happens", async () => {
    const tunnel = await startTunnel(stage, {
      serverArgs: IS_FULL ? [] : ["--idle-timeout", "200ms", "--head-timeout", "200ms", "--heartbeat-idle", "100ms"],
    });
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/events");
    const source = await stream;
    await readEvent(response, ": open");
    await delay(IS_FULL ? 300_000 : 3_000);
    const start = performance.now();
    source.write("data: late\n\n");
    await readEvent(response, "data: late");
    console.log(`SSE: first event after the idle time took ${(performance.now() - start).toFixed(2)} ms`);
    response.destroy();
  }, 400_000);

  it("end at the origin when the visitor leaves", async () => {
    const tunnel = await startTunnel(stage);
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/events");
    const source = await stream;
    const closed = once(source, "close");
    response.destroy();
    // Its FIN may also be that of a visitor who only has no more to say: the server waits a little for that one.
    await within(closed, 15_000, "the origin to hear of it");
  });

  async function latencies(tunnel: RunningTunnel, port: number, hostname: string): Promise<number[]> {
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(port, hostname, "/events");
    const source = await stream;
    await readEvent(response, ": open");
    const found: number[] = [];
    for (let index = 0; index < 200; index += 1) {
      const start = performance.now();
      source.write(`data: event ${index}\n\n`);
      await readEvent(response, `data: event ${index}`);
      found.push(performance.now() - start);
    }
    response.destroy();
    return found;
  }

  /** The next event, which has to be this one and come alone: the one after it was not sent yet. */
  async function readEvent(response: NodeJS.ReadableStream, wanted: string): Promise<void> {
    let text = "";
    while (!text.endsWith("\n\n")) {
      const chunk: unknown = response.read();
      if (chunk === null) await within(once(response, "readable"), 10_000, `"${wanted}"`);
      else text += String(chunk);
    }
    expect(text).toBe(`${wanted}\n\n`);
  }
});

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
