// Reads a connection's bytes as the proxy does: heads and bodies in turn,
// whatever the pieces they come in.

import {
  BodyScanner,
  HeadCollector,
  type HttpFault,
  parseRequestHead,
  type RequestHead,
} from "../../src/http/index.ts";

export interface Message {
  readonly head: RequestHead;
  contentBytes: number;
  isComplete: boolean;
}

export interface StreamResult {
  readonly messages: Message[];
  readonly fault: HttpFault | null;
  /** Bytes up to the end of the last complete message. */
  readonly consumedBytes: number;
  /** Bytes of a head that is not complete. */
  readonly pendingBytes: number;
}

/** Reads `pieces` to the end, the first fault, or the first message after which HTTP ends (an upgrade, close). */
export function readRequests(pieces: readonly Buffer[]): StreamResult {
  const collector = new HeadCollector("request");
  const scanner = new BodyScanner("DPX_REQUEST_INVALID");
  const messages: Message[] = [];
  let consumedBytes = 0;
  let offset = 0;
  const result = (fault: HttpFault | null): StreamResult => ({
    messages,
    fault,
    consumedBytes,
    pendingBytes: collector.pendingBytes,
  });
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      const current = messages.at(-1);
      if (current !== undefined && !current.isComplete) {
        at = scanner.scan(piece, at);
        if (at < 0) return result(scanner.fault);
        current.contentBytes = scanner.contentBytes;
        current.isComplete = scanner.isComplete;
      } else {
        if (current !== undefined && (!current.head.keepAlive || current.head.upgrade !== null)) return result(null);
        at = collector.push(piece, at);
        if (at < 0) {
          if (collector.fault !== null) return result(collector.fault);
          break;
        }
        const head = parseRequestHead(collector.buffer.toString("latin1", collector.start, collector.end));
        collector.clear();
        if (head.kind === "fault") return result(head);
        scanner.begin(head.framing);
        messages.push({ head, contentBytes: 0, isComplete: scanner.isComplete });
      }
      if (messages.at(-1)?.isComplete) consumedBytes = offset + at;
    }
    offset += piece.length;
  }
  return result(null);
}
