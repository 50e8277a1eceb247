// What nodes that listen to this one are told, unasked: one answer to each that does not end, a line for each event and
// an empty one now and then. A node that reads too slowly is cut off, and looks for itself what it has missed.

import type { ServerResponse } from "node:http";
import { DuplexityError } from "../../protocol/index.ts";
import { BEAT_MS, MAX_QUEUED_EVENT_BYTES, MAX_STREAMS } from "./limits.ts";
import type { EventSource } from "./names.ts";

export class EventStreams {
  readonly #source: EventSource;
  /** One for each node: the newest. */
  readonly #streams = new Map<string, ServerResponse>();
  readonly #timer: NodeJS.Timeout;

  constructor(source: EventSource) {
    this.#source = source;
    this.#timer = setInterval(() => {
      for (const response of this.#streams.values()) write(response, "\n");
    }, BEAT_MS);
    this.#timer.unref();
  }

  /**
   * Begins a stream, and answers with its first line when nothing is missed any more.
   *
   * @param headersOf What the head of the answer has to say.
   * @throws {DuplexityError} `DPX_LIMIT`, or `DPX_STORE` if nothing can be heard: nothing was answered then.
   */
  async open(nodeId: string, response: ServerResponse, headersOf: () => Record<string, string>): Promise<void> {
    if (this.#streams.size >= MAX_STREAMS && !this.#streams.has(nodeId)) {
      throw new DuplexityError("DPX_LIMIT", `Cannot take another listener: ${MAX_STREAMS} nodes listen already`);
    }
    const stop = await this.#source.listen(nodeId, (event) => {
      if (response.headersSent) write(response, `${JSON.stringify(event)}\n`);
    });
    response.once("close", () => {
      stop();
      if (this.#streams.get(nodeId) === response) this.#streams.delete(nodeId);
    });
    if (response.destroyed) {
      stop();
      return;
    }
    this.#streams.get(nodeId)?.destroy();
    this.#streams.set(nodeId, response);
    response.writeHead(200, { ...headersOf(), "Cache-Control": "no-store", "Content-Type": "application/x-ndjson" });
    response.write("\n");
  }

  close(): void {
    clearInterval(this.#timer);
    for (const response of this.#streams.values()) response.end();
  }
}

function write(response: ServerResponse, line: string): void {
  if (response.destroyed || response.writableEnded) return;
  if (response.writableLength > MAX_QUEUED_EVENT_BYTES) response.destroy();
  else response.write(line);
}
