// For any schedule of cut links and streams that die, with or without saying what they delivered: every visitor gets
// its own answer or an error, no request that is not safe reaches a target twice, and nothing is left behind.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HOST = "a.example.test";

type Fault = "cut" | "restore" | "kill" | "kill-silently" | "away" | "up" | "pass";

const faults: fc.Arbitrary<Fault[]> = fc.array(
  fc.constantFrom<Fault>("cut", "restore", "restore", "kill", "kill-silently", "away", "up", "up", "pass", "pass"),
  { maxLength: 60 },
);

describe("createProxy", () => {
  it("never delivers a request twice that is not safe, whatever breaks when", async () => {
    const { visitor, routes, proxy, settled } = await startProxy(stage);
    const counts = new Map<string, number>();
    const origin = await startTcpOrigin(stage, (socket) => {
      let received = "";
      socket.on("end", () => socket.end());
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
        const request = /^(GET|POST) \/(\S+) [\s\S]*?\r\n\r\n([\s\S]*)$/.exec(received);
        const [, method, id = "", body = ""] = request ?? [];
        if (request === null || (method === "POST" && body.length < 4)) return;
        received = "";
        counts.set(id, (counts.get(id) ?? 0) + 1);
        setImmediate(() => socket.write(`HTTP/1.1 200 OK\r\nX-Id: ${id}\r\nContent-Length: ${id.length}\r\n\r\n${id}`));
      });
    });
    routes.register(HOST, origin.port);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(faults, fc.array(fc.boolean(), { minLength: 4, maxLength: 16 }), async (schedule, posts) => {
        run++;
        const visits = [0, 1, 2, 3].map(async (number) => {
          const peer = await visitor();
          const statuses: number[] = [];
          for (const [index, isPost] of posts.entries()) {
            if (index % 4 !== number) continue;
            const id = `${run}-${index}-${isPost ? "post" : "get"}`;
            const post = `POST /${id} HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\n\r\nbody`;
            peer.write(isPost ? post : get(`/${id}`));
            const answer = await readAnswer(peer);
            statuses.push(answer.status);
            if (answer.status === 200) expect(answer.body).toBe(id);
            else expect(answer.fields.get("duplexity-error")).toMatch(/^DPX_/);
            expect(counts.get(id) ?? 0).toBeGreaterThanOrEqual(answer.status === 200 ? 1 : 0);
            expect(counts.get(id) ?? 0).toBeLessThanOrEqual(isPost ? 1 : 2);
          }
          peer.end();
          return statuses;
        });
        for (const fault of schedule) {
          strike(fault);
          await new Promise(setImmediate);
        }
        routes.restoreLink();
        routes.change(HOST, { state: "up" });
        await Promise.all(visits);
        await settled();
        expect(routes.watched).toBe(0);
      }),
      { numRuns: 60 },
    );
    expect(proxy.statistics.replays).toBeGreaterThan(0);

    function strike(fault: Fault): void {
      const open = routes.streams.filter((stream) => !stream.isReset);
      switch (fault) {
        case "cut":
          routes.cutLink();
          break;
        case "restore":
          routes.restoreLink();
          break;
        case "kill":
          for (const stream of open) stream.kill("DPX_LINK_LOST", stream.deliveredBytes);
          break;
        case "kill-silently":
          open.at(-1)?.kill("DPX_SESSION_EXPIRED", null);
          break;
        case "away":
        case "up":
          routes.change(HOST, { state: fault });
          break;
        case "pass":
          break;
      }
    }
  });
});
