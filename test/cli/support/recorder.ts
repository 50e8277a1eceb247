// A stream that remembers what was written to it, as a terminal or as a pipe.

import { PassThrough } from "node:stream";

export type Recorder = PassThrough & { readonly isTTY: boolean; readonly columns: number; text(): string };

/** @param columns Of the terminal; left out: it is none. */
export function createRecorder(columns?: number): Recorder {
  let text = "";
  const stream = new PassThrough();
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  // read() lets what was just written reach the listener in the same turn.
  const all = () => {
    stream.read();
    return text;
  };
  return Object.assign(stream, { isTTY: columns !== undefined, columns: columns ?? 0, text: all });
}
