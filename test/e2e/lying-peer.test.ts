// Each end against a peer that lies: packets are changed between a real client and a real server.

import { describe, expect, it } from "vitest";
import { IS_FULL } from "../support/bars.ts";
import { startServer, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { MutatingRelay } from "../support/mutating-relay.ts";
import { useStage } from "../support/stage.ts";
import { startTcpOrigin } from "../support/tcp-origin.ts";
import { visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const CLIENTS = 4;
/** Each costs the wait for another link, and those waits grow when links die young. */
const ROUNDS = IS_FULL ? 20 : 4;

describe("A peer that lies", () => {
  it.each(["towardsClient", "towardsServer"] as const)(
    "%s costs its own link, never a process",
    async (direction) => {
      const server = await startServer(stage, { args: ["--log-level", "warn"] });
      const origin = await startHttpOrigin(stage);
      // A service beside it that nobody may reach through the tunnel, whatever the packets say.
      const forbidden = await startTcpOrigin(stage, (socket) => socket.end());
      const neighbour = await startUp(stage, server.url, [`calm:${origin.target}`]);
      const ask = (name: string, limitMs: number) => visit(server.port, `${name}.localhost`, "/hello", { limitMs });
      const isServed = async (name: string) => (await ask(name, 2_000).catch(() => null))?.body === "hello";

      const victims = await Promise.all(
        Array.from({ length: CLIENTS }, async (_, index) => {
          const relay = await MutatingRelay.start(stage, server.port, index);
          const name = `cat${index}`;
          const up = await startUp(stage, `http://localhost:${relay.port}`, [`${name}:${origin.target}`]);
          for (let round = 0; round < ROUNDS; round += 1) {
            await poll(() => isServed(name), 40_000, `${name} to be served in round ${round}`, 20);
            relay[direction] = 1 + (round % 3);
            while (relay[direction] > 0) await isServed(name);
          }
          await poll(() => isServed(name), 40_000, `${name} to be served at the end`, 20);
          expect((await ask("calm", 10_000)).body).toBe("hello");
          return up;
        }),
      );
      for (const { process } of [server, neighbour, ...victims]) {
        expect(process.hasExited).toBe(false);
        expect(process.stderr).not.toMatch(/DPX_INTERNAL|at .*\.js:\d+/);
      }
      expect(forbidden.sockets).toHaveLength(0);
      expect(neighbour.process.lines.map((line) => line.type)).toEqual(["ready"]);
    },
    300_000,
  );
});
