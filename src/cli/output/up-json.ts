// `up --json`: the events as NDJSON on stdout, for programs that run `up`.

import { type JsonLine, writeJsonLine } from "./json-lines.ts";
import type { UpView, UpViewOptions } from "./up-view.ts";

export function createJsonView(options: UpViewOptions): UpView {
  const write = (line: JsonLine) => writeJsonLine(options.stdout, line);
  return {
    connecting() {},
    ready({ clientId, pipes }) {
      write({
        type: "ready",
        clientId,
        pipes: pipes.map(({ name, hostname, url, target }) => ({ name, hostname, url, target })),
      });
    },
    request(report) {
      if (!options.logsRequests) return;
      // Microseconds are noise.
      write({ type: "request", ...report, durationMs: Math.round(report.durationMs * 100) / 100 });
    },
    reconnecting(attempt, delayMs, code) {
      write({ type: "reconnecting", attempt, delayMs, code });
    },
    resumed(outageMs) {
      write({ type: "resumed", outageMs });
    },
    pipe({ name, url }, error) {
      if (error === null) write({ type: "pipeRegistered", name, url });
      else write({ type: "pipeRefused", name, code: error.code, message: error.message });
    },
    changed(closed) {
      write({ type: "downed", names: closed });
    },
    draining() {},
    closed(_names, code, reason) {
      write({ type: "closed", code, reason });
    },
    show() {},
    end() {},
  };
}
