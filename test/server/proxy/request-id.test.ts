// What connects a line of the log with the request that it is about.

import { describe, expect, it } from "vitest";
import type { LogFacts } from "../../../src/server/index.ts";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin, startTcpOrigin } from "../../support/tcp-origin.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`;

async function start() {
  const lines: { message: string; facts: LogFacts | undefined }[] = [];
  const proxy = await startProxy(stage, { log: (_level, message, facts) => void lines.push({ message, facts }) });
  return { ...proxy, lines };
}

describe("createProxy", () => {
  it("names a failed request alike in its answer and in the log, with its trace and without its path", async () => {
    const { visitor, lines } = await start();
    const peer = await visitor();
    peer.write(get("/secret?token=1", "nobody.example.test", `traceparent: ${PARENT}\r\n`));
    const answer = await readAnswer(peer);
    const requestId = answer.fields.get("duplexity-request");
    expect(requestId).toMatch(/^n1-[0-9a-z]+$/);
    expect(lines).toEqual([
      { message: "Refused GET for nobody.example.test: DPX_NAME_UNKNOWN", facts: { requestId, traceId: TRACE } },
    ]);
    peer.write(get("/", "nobody.example.test"));
    expect((await readAnswer(peer)).fields.get("duplexity-request")).not.toBe(requestId);
  });

  it("takes no trace from a traceparent that is none", async () => {
    const wrong = [
      `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
      `ff-${TRACE}-b7ad6b7169203331-01`,
      `00-${TRACE}`,
      "x\tx",
    ];
    for (const value of wrong) {
      const { visitor, lines } = await start();
      const peer = await visitor();
      peer.write(get("/", "nobody.example.test", `traceparent: ${value}\r\n`));
      await readAnswer(peer);
      expect(lines[0]?.facts).not.toHaveProperty("traceId");
    }
  });

  it("passes traceparent and tracestate on untouched, and logs no request that went well", async () => {
    const { visitor, routes, lines } = await start();
    const seen: string[] = [];
    const origin = await startTcpOrigin(stage, (socket) =>
      socket.once("data", (chunk: Buffer) => {
        seen.push(chunk.toString("latin1"));
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }),
    );
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/", "a.example.test", `traceparent: ${PARENT}\r\ntracestate: a=1,b=2\r\n`));
    expect((await readAnswer(peer)).status).toBe(200);
    expect(seen.join("")).toContain(`traceparent: ${PARENT}\r\ntracestate: a=1,b=2\r\n`);
    expect(lines).toEqual([]);
  });

  it("says which answer of a target it could not read", async () => {
    const { visitor, routes, lines } = await start();
    const origin = await startScriptedOrigin(stage, ["no HTTP at all\r\n\r\n"]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    const requestId = (await readAnswer(peer)).fields.get("duplexity-request");
    expect(lines.map(({ facts }) => facts)).toEqual([{ requestId }, { requestId }]);
    expect(lines[0]?.message).toMatch(/^Cannot read the answer of a\.example\.test: /);
  });
});
