// What is said of a request before any of it was sent: whether it can be sent again.

import { describe, expect, it } from "vitest";
import { Forwarding, parseRequestHead } from "../../../src/http/index.ts";
import { MAX_REPLAY_BYTES } from "../../../src/server/proxy/options.ts";
import { RequestSender } from "../../../src/server/proxy/request-sender.ts";

const CHUNK_HEAD = `${MAX_REPLAY_BYTES.toString(16)}\r\n`;
const CHUNK_OF_ALL_THAT_IS_KEPT = `${CHUNK_HEAD}${"b".repeat(MAX_REPLAY_BYTES)}\r\n`;

function begun(framing: string, body: string): RequestSender {
  const head = parseRequestHead(`POST / HTTP/1.1\r\nHost: a.example.test\r\n${framing}\r\n`);
  if (head.kind === "fault") throw new Error(head.message);
  const sender = new RequestSender();
  const options = { address: "192.0.2.1", proto: "http", port: 80, pseudonym: "n1", isTrusted: false } as const;
  sender.begin(head, new Forwarding(options));
  sender.take(Buffer.from(body, "latin1"), 0);
  return sender;
}

describe("RequestSender.staysReplayable", () => {
  it.each([
    ["no body", "", "", true],
    ["a body as long as what is kept, still to come", `Content-Length: ${MAX_REPLAY_BYTES}\r\n`, "", true],
    ["a longer one, still to come", `Content-Length: ${MAX_REPLAY_BYTES + 1}\r\n`, "", false],
    ["a longer one, here in one piece", "Content-Length: 70000\r\n", "b".repeat(70_000), false],
    ["short chunks, all here", "Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n", true],
    ["short chunks, not all here", "Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n", false],
    ["long chunks, all here", "Transfer-Encoding: chunked\r\n", `${CHUNK_OF_ALL_THAT_IS_KEPT}0\r\n\r\n`, false],
  ])("with %s", (_, framing, body, stays) => {
    expect(begun(framing, body).staysReplayable).toBe(stays);
  });
});
