// For any series of requests and answers, cut into pieces anywhere, over connections that end or go on: each target
// gets exactly its own requests, and each visitor exactly its own answers, in order.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { readAnswer, startProxy } from "./setup.ts";

const stage = useStage();

interface Script {
  readonly host: "a" | "b";
  readonly body: string;
  readonly isChunked: boolean;
  /** How the target answers. */
  readonly answer: "length" | "chunked" | "close" | "none";
  /** Where the answer's bytes are cut. */
  readonly cuts: readonly number[];
}

const scripts: fc.Arbitrary<Script[]> = fc.array(
  fc.record({
    host: fc.constantFrom("a", "b"),
    body: fc.string({ unit: fc.constantFrom("x", "0", "\r", "\n", "G"), maxLength: 40 }),
    isChunked: fc.boolean(),
    answer: fc.constantFrom("length", "length", "chunked", "close", "none"),
    cuts: fc.array(fc.nat(120), { maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 8 },
);

function chunked(body: string): string {
  const middle = Math.floor(body.length / 2);
  const parts = [body.slice(0, middle), body.slice(middle)].filter((part) => part !== "");
  return `${parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("")}0\r\n\r\n`;
}

function requestOf(script: Script, id: string): string {
  const { host, body, isChunked } = script;
  const head = `POST /${id} HTTP/1.1\r\nHost: ${host}.example.test\r\n`;
  if (isChunked) return `${head}Transfer-Encoding: chunked\r\n\r\n${chunked(body)}`;
  return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** The answer says which request it is for, and repeats the body. */
function answerOf({ answer, body }: Script, id: string): string {
  const head = `HTTP/1.1 ${answer === "none" ? "204 No Content" : "200 OK"}\r\nX-Id: ${id}\r\n`;
  switch (answer) {
    case "length":
      return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    case "chunked":
      return `${head}Transfer-Encoding: chunked\r\n\r\n${chunked(body)}`;
    case "close":
      return `${head}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    case "none":
      return `${head}\r\n`;
  }
}

function cut(text: string, at: readonly number[]): string[] {
  const places = [0, ...[...at].sort((a, b) => a - b).map((place) => Math.min(place, text.length)), text.length];
  return places.slice(1).map((place, index) => text.slice(places[index], place));
}

describe("createProxy", () => {
  it("passes every series of requests and answers exactly", async () => {
    const { visitor, routes } = await startProxy(stage);
    /** By id: what has to arrive, and what to answer. */
    const expected = new Map<string, { script: Script; host: string }>();
    const wrong: string[] = [];
    for (const host of ["a", "b"] as const) {
      const origin = await startTcpOrigin(stage, (socket) => {
        let received = "";
        socket.on("end", () => socket.end());
        socket.on("data", (chunk: Buffer) => {
          received += chunk.toString("latin1");
          const id = /^POST \/(\S+) /.exec(received)?.[1];
          const known = id === undefined ? undefined : expected.get(id);
          const end = received.indexOf("\r\n\r\n");
          if (id === undefined || known === undefined || end === -1) {
            if (received.length > 20 && known === undefined) wrong.push(received);
            return;
          }
          const { script } = known;
          const body = script.isChunked ? chunked(script.body) : script.body;
          const got = received.slice(end + 4);
          if (got.length < body.length) return;
          if (got !== body || script.host !== host) wrong.push(received);
          received = "";
          void send(cut(answerOf(script, id), script.cuts), (piece) => socket.write(piece, "latin1"));
        });
      });
      routes.register(`${host}.example.test`, origin.port);
    }
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        scripts,
        fc.array(fc.nat(1_500), { maxLength: 12 }),
        fc.boolean(),
        async (series, cuts, ends) => {
          run++;
          const ids = series.map((_, index) => `${run}-${index}`);
          series.forEach((script, index) => {
            expected.set(`${run}-${index}`, { script, host: script.host });
          });
          const peer = await visitor();
          const text = series.map((script, index) => requestOf(script, ids[index] ?? "")).join("");
          const sent = send(cut(text, cuts), (piece) => peer.write(piece)).then(() => ends && peer.end());
          for (const [index, script] of series.entries()) {
            const answer = await readAnswer(peer);
            expect(answer.fields.get("x-id")).toBe(ids[index]);
            expect(answer.body).toBe(script.answer === "none" ? "" : script.body);
          }
          await sent;
          expect(ends ? await peer.readAll() : peer.received.toString()).toBe("");
          expect(wrong).toEqual([]);
          peer.socket.destroy();
        },
      ),
      { numRuns: 100 },
    );
  });
});

async function send(pieces: readonly string[], write: (piece: string) => void): Promise<void> {
  for (const piece of pieces) {
    if (piece !== "") write(piece);
    await new Promise(setImmediate);
  }
}
