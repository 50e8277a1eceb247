// Reads a stream of events, a line each; an empty line says that nothing has happened.

import { StringDecoder } from "node:string_decoder";
import { DuplexityError, fields } from "../../protocol/index.ts";
import { MAX_EVENT_CHARS } from "./limits.ts";
import type { BackendEvent } from "./names.ts";

/**
 * Null for an empty line.
 *
 * @param onBytes Something came, whatever it is.
 * @throws {DuplexityError} `DPX_MESSAGE_INVALID` or `DPX_MESSAGE_TOO_LARGE`
 */
export async function* readEvents(
  body: AsyncIterable<Buffer>,
  onBytes: () => void,
): AsyncGenerator<BackendEvent | null, void, void> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of body) {
    onBytes();
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_EVENT_CHARS) {
      throw new DuplexityError("DPX_MESSAGE_TOO_LARGE", `Cannot read an event: it has ${rest.length} characters`);
    }
    for (const line of lines) yield line === "" ? null : eventOf(line);
  }
}

function eventOf(line: string): BackendEvent {
  const event = fields.readObject(JSON.parse(line), "event");
  const type = fields.field(event, "type", fields.oneOfReader(["message", "route", "changed", "gap"]));
  switch (type) {
    case "message": {
      const topic = fields.field(event, "topic", (value, path) =>
        value === null ? null : fields.readWord(value, path),
      );
      return { type, topic, text: fields.field(event, "text", readText) };
    }
    case "route": {
      const hostname = fields.field(event, "hostname", fields.readName);
      return { type, hostname, record: fields.field(event, "record", (value) => value) };
    }
    case "changed":
      return { type, key: fields.field(event, "key", readText) };
    case "gap":
      return { type };
  }
}

function readText(value: unknown, path: string): string {
  return typeof value === "string" ? value : fields.invalid(path, "a string");
}
