// Visitors who stay: event streams and WebSockets that carry numbered messages, and say when one is missing and when they
// ended. Made for origins of http-origin.ts.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import { nodeOfAnswer } from "./balancer.ts";
import type { Stage } from "./stage.ts";
import { openVisit } from "./visitor.ts";
import { poll, within } from "./wait.ts";

const EVERY_MS = 200;
const OPEN_MS = 10_000;
/** On a machine that does ten things at once. */
const TICK_MS = 15_000;

export interface LongStream {
  readonly kind: "events" | "websocket";
  /** Which node it goes through; null: nobody has said so. */
  readonly node: number | null;
  /** Messages that came, each with the number after the one before. */
  readonly count: number;
  /** What was wrong with the numbers, if anything was. */
  readonly fault: string | null;
  /** By `performance.now()`; null while it lives. */
  readonly endedAt: number | null;
}

class Numbered implements LongStream {
  readonly kind: LongStream["kind"];
  readonly node: number | null;
  count = 0;
  fault: string | null = null;
  endedAt: number | null = null;

  constructor(kind: LongStream["kind"], node: number | null) {
    this.kind = kind;
    this.node = node;
  }

  take(text: string): void {
    if (text !== String(this.count)) this.fault ??= `${text} came instead of ${this.count}`;
    this.count += 1;
  }

  end(): void {
    this.endedAt ??= performance.now();
  }
}

export interface StreamPlace {
  readonly port: number;
  readonly hostname: string;
  /** The node that listens there. @default what the balancer says */
  readonly node?: number;
}

export async function openEvents(stage: Stage, place: StreamPlace): Promise<LongStream> {
  const { port, hostname } = place;
  const response = await openVisit(port, hostname, `/ticks?every=${EVERY_MS}`);
  stage.defer(() => response.destroy());
  const stream = new Numbered("events", nodeOf(response, place));
  let rest = "";
  response.setEncoding("utf8").on("data", (text: string) => {
    const events = (rest + text).split("\n\n");
    rest = events.pop() ?? "";
    for (const event of events) stream.take(event.replace("data: ", ""));
  });
  response.on("error", () => {});
  response.on("close", () => stream.end());
  return stream;
}

/** Sends numbers, which come back. */
export async function openWebSocket(stage: Stage, place: StreamPlace): Promise<LongStream> {
  const { port, hostname } = place;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: hostname } });
  stage.defer(() => socket.terminate());
  socket.on("error", () => {});
  const upgraded = once(socket, "upgrade") as Promise<[IncomingMessage]>;
  const opened = once(socket, "open");
  const [response] = await within(upgraded, OPEN_MS, `a WebSocket to ${hostname}`);
  const stream = new Numbered("websocket", nodeOf(response, place));
  socket.on("message", (message: Buffer) => stream.take(message.toString()));
  await opened;
  let number = 0;
  const timer = setInterval(() => socket.send(String(number++)), EVERY_MS);
  socket.on("close", () => {
    clearInterval(timer);
    stream.end();
  });
  return stream;
}

/** More of them, so that with `open` there are `count` of each kind. */
export async function openLongStreams(
  stage: Stage,
  to: StreamPlace & { readonly count: number },
  open: readonly LongStream[] = [],
): Promise<LongStream[]> {
  const missing = (kind: LongStream["kind"]): number => to.count - open.filter((stream) => stream.kind === kind).length;
  const opening: Promise<LongStream>[] = [];
  for (let left = missing("events"); left > 0; left -= 1) opening.push(openEvents(stage, to));
  for (let left = missing("websocket"); left > 0; left -= 1) opening.push(openWebSocket(stage, to));
  return Promise.all(opening);
}

/** Resolves when each of `streams` has got another message. One that ends first is a failure. */
export async function untilTicked(streams: readonly LongStream[]): Promise<void> {
  const before = streams.map(({ count }) => count);
  await poll(
    () => {
      const ended = streams.find(({ endedAt }) => endedAt !== null);
      if (ended !== undefined) throw new Error(`A stream through node ${ended.node} (${ended.kind}) has ended`);
      return streams.every(({ count }, index) => count > (before[index] ?? 0));
    },
    TICK_MS,
    "another message on each stream",
  );
}

function nodeOf({ headers }: IncomingMessage, { node }: StreamPlace): number | null {
  if (node !== undefined) return node;
  return "x-node" in headers ? nodeOfAnswer(headers) : null;
}
