// Everything that comes from outside may be a lie: requests, packets, messages. Nothing may crash, hang or leak, and
// who shares the server must not notice.

import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { IS_FULL } from "../support/bars.ts";
import { type RunningServer, startServer, startUp } from "../support/duplexity.ts";
import { HostileClient } from "../support/hostile-client.ts";
import { PacketFuzzer } from "../support/hostile-packets.ts";
import { HOSTILE_REQUESTS, randomRequests } from "../support/hostile-requests.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { INSPECT_ARGS, memoryAfterGc } from "../support/inspect.ts";
import { seededBytes, seededRandom } from "../support/seeded.ts";
import { useFileStage, useStage } from "../support/stage.ts";
import { type RunningTunnel, startTunnel } from "../support/tunnel.ts";
import { keepAliveAgent, RawVisitor, visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const file = useFileStage();
const stage = useStage();
let shared: Promise<RunningTunnel> | null = null;
const REQUESTS = 1_000;
const PACKETS = IS_FULL ? 100_000 : 10_000;
/** Kind of the packet that ends a session. */
const CLOSE = 4;
/** What caches, pools and compiled code may add for good. A leak of one packet or request each would be far more. */
const TOLERANCE_MIB = 12;

/** Asks `hostname` again and again until stopped; tells how often, and the slowest. */
function watchNeighbour(port: number, hostname: string): () => Promise<{ answered: number; slowestMs: number }> {
  const agent = keepAliveAgent(stage);
  let isOver = false;
  const watching = (async () => {
    let answered = 0;
    let slowestMs = 0;
    while (!isOver) {
      const start = performance.now();
      const answer = await visit(port, hostname, "/hello", { agent, limitMs: 5_000 });
      if (answer.status !== 200 || answer.body !== "hello") throw new Error(`The neighbour got ${answer.status}`);
      slowestMs = Math.max(slowestMs, performance.now() - start);
      answered += 1;
      await turn();
    }
    return { answered, slowestMs };
  })();
  // A failure is reported when the test asks for the result.
  watching.catch(() => {});
  const stop = () => {
    isOver = true;
    return watching;
  };
  afterEachStops.push(stop);
  return stop;
}

const afterEachStops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.allSettled(afterEachStops.splice(0).map((stop) => stop()));
});

describe("Hostile requests", () => {
  it.each(HOSTILE_REQUESTS.map((request) => [request.what, request] as const))(
    "get the right refusal and the connection's end: %s",
    async (_what, request) => {
      const { server } = await theTunnel();
      const visitor = await RawVisitor.open(stage, server.port);
      visitor.write(request.bytes);
      visitor.end();
      const answer = await visitor.readAll(5_000);
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
      expect(request.statuses, answer.slice(0, 300)).toContain(status);
      if (status >= 400) expect(answer).toMatch(/\r\nDuplexity-Error: DPX_[A-Z_]+\r\n/);
    },
  );

  it(`neither crash, hang, leak nor disturb: ${REQUESTS} of them`, async () => {
    const tunnel = await startTunnel(stage, { serverNodeArgs: INSPECT_ARGS });
    const send = async (text: string) => {
      const visitor = await RawVisitor.open(stage, tunnel.server.port);
      visitor.write(text);
      visitor.end();
      const answer = await visitor.readAll(10_000).catch((error: unknown) => {
        throw new Error(`No end for ${JSON.stringify(text.slice(0, 400))}: ${error}`);
      });
      if (answer !== "" && !/^HTTP\/1\.1 \d{3} /.test(answer)) throw new Error(`Not HTTP: ${answer.slice(0, 100)}`);
      return answer;
    };
    for (const request of randomRequests(1, 100)) await send(request);
    const before = await memoryAfterGc(tunnel.server.process);
    const stop = watchNeighbour(tunnel.server.port, tunnel.hostname);
    const statuses = new Map<string, number>();
    const queue = [...randomRequests(2, REQUESTS)];
    const worker = async () => {
      for (let text = queue.pop(); text !== undefined; text = queue.pop()) {
        const status = /^HTTP\/1\.1 (\d{3})/.exec(await send(text))?.[1] ?? "none";
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    const neighbour = await stop();
    const after = await memoryAfterGc(tunnel.server.process);
    console.log("hostile requests:", Object.fromEntries(statuses), neighbour, { before, after });
    expect(neighbour.answered).toBeGreaterThan(10);
    expect(after.heapMiB + after.externalMiB).toBeLessThan(before.heapMiB + before.externalMiB + TOLERANCE_MIB);
    expect(tunnel.server.process.stderr).not.toMatch(/DPX_INTERNAL|at .*\.js:\d+/);
  });

  /** One for all single requests: none of them may harm it. */
  function theTunnel(): Promise<RunningTunnel> {
    shared ??= startTunnel(file);
    return shared;
  }
});

describe("Hostile packets", () => {
  it(`neither crash, hang, leak nor disturb: ${PACKETS} of them`, async () => {
    const { server, neighbour } = await startNeighbour();
    await attack(server, 1, Math.ceil(PACKETS / 10));
    const before = await memoryAfterGc(server.process);
    const stop = watchNeighbour(server.port, "calm.localhost");
    const results = await Promise.all([2, 3, 4, 5].map((seed) => attack(server, seed, PACKETS / 4)));
    const { answered, slowestMs } = await stop();
    // Sessions of links that are gone wait for the resume window, which is scaled down here.
    const after = await poll(
      async () => {
        const memory = await memoryAfterGc(server.process);
        return memory.heapMiB + memory.externalMiB < before.heapMiB + before.externalMiB + TOLERANCE_MIB
          ? memory
          : null;
      },
      20_000,
      "the memory to be back at its baseline",
      500,
    );
    const codes: Record<string, number> = {};
    for (const { closeCodes } of results) {
      for (const code of closeCodes) codes[code] = (codes[code] ?? 0) + 1;
    }
    console.log("hostile packets:", {
      links: results.map(({ links }) => links),
      codes,
      answered,
      slowestMs,
      before,
      after,
    });
    expect(answered).toBeGreaterThan(10);
    // Only our own codes, never 1011 (a defect) nor 1006 (the server dropped it without a word).
    expect(Object.keys(codes).filter((code) => !/^(4\d{3}|1000|1009)$/.test(code))).toEqual([]);
    expect(neighbour.process.lines.map((line) => line.type)).not.toContain("reconnecting");
    expect(server.process.stderr).not.toMatch(/DPX_INTERNAL|at .*\.js:\d+/);
  }, 900_000);

  it("on an unauthenticated socket get nowhere", async () => {
    const { server } = await startNeighbour();
    const random = seededRandom(8);
    for (const path of ["/control", "/dialer"]) {
      for (let index = 0; index < 50; index += 1) {
        const visitor = await RawVisitor.open(stage, server.port);
        visitor.write(
          `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        );
        visitor.write(seededBytes(index, 1 + Math.floor(random() * 5_000)));
        visitor.end();
        const answer = await visitor.readAll(15_000);
        expect(answer).toMatch(/^HTTP\/1\.1 401 /);
        expect(answer).toMatch(/\r\nDuplexity-Error: DPX_(AUTH_REQUIRED|TICKET_INVALID)\r\n/i);
      }
    }
    expect((await visit(server.port, "calm.localhost", "/hello")).body).toBe("hello");
  });

  it("that come before the pipes are registered close the link only", async () => {
    const { server } = await startNeighbour();
    const client = await HostileClient.create(server.url, "evil");
    stage.defer(() => client.close());
    const garbage = seededBytes(1, 40);
    for (const early of [[garbage], Array.from({ length: 200 }, () => garbage), [Buffer.alloc(500_000)]]) {
      const link = await client.dial(early);
      expect(await link.closed).toBe(4400);
    }
    expect((await visit(server.port, "calm.localhost", "/hello")).body).toBe("hello");
    expect(server.process.hasExited).toBe(false);
  });

  it("on control close it with the right code", async () => {
    const { server } = await startNeighbour();
    const client = await HostileClient.create(server.url, "evil");
    const cases: readonly [string | Buffer, number][] = [
      ["{", 4400],
      ["[]", 4400],
      ["null", 4400],
      [`{"type":"nonsense"}`, 4400],
      [`{"type":"discoveryRequest"}`, 4400],
      [`{"type":"discoveryRequest","clientId":"../../etc","protocolVersions":[1],"software":"x","features":[]}`, 4400],
      [
        `{"type":"discoveryRequest","clientId":"${client.clientId}","protocolVersions":[99],"software":"x","features":[]}`,
        4426,
      ],
      [`{"type":"forceDisconnectRequest","code":"DPX_KICKED","by":"me","reason":"","until":null}`, 4400],
      ["x".repeat(70_000), 1009],
      [Buffer.from([1, 2, 3]), 4400],
      [`${"[".repeat(30_000)}`, 4400],
    ];
    for (const [message, code] of cases) {
      const control = await client.openControl();
      const closed = new Promise<number>((resolve) => control.on("close", resolve));
      control.send(message);
      expect(await closed, String(message).slice(0, 100)).toBe(code);
    }
    expect((await visit(server.port, "calm.localhost", "/hello")).body).toBe("hello");
  });

  async function startNeighbour() {
    const server = await startServer(stage, {
      nodeArgs: INSPECT_ARGS,
      args: ["--resume-window", "1s", "--hold-timeout", "1s", "--log-level", "error"],
    });
    const origin = await startHttpOrigin(stage);
    const neighbour = await startUp(stage, server.url, [`calm:${origin.target}`]);
    return { server, neighbour };
  }

  /** Sends `count` packets, each to a link that was open, dialling again whenever the server has had enough. */
  async function attack(server: RunningServer, seed: number, count: number) {
    const name = `evil${seed}`;
    const client = await HostileClient.create(server.url, name);
    stage.defer(() => client.close());
    const fuzzer = new PacketFuzzer(seed);
    const closeCodes: number[] = [];
    let links = 0;
    for (let sent = 0; sent < count; ) {
      const link = await client.dial();
      links += 1;
      // Something to have streams for: what becomes of it does not matter.
      if (links % 8 === 0) void visit(server.port, `${name}.localhost`, "/x", { limitMs: 60_000 }).catch(() => {});
      if (link.session >= 0) link.socket.send(fuzzer.resume(link.session, link.resumes));
      let hasSentClose = false;
      while (link.socket.readyState === WebSocket.OPEN && sent < count) {
        const packet = fuzzer.next(link.session, link.packets);
        hasSentClose ||= packet[0] === CLOSE;
        link.socket.send(packet);
        sent += 1;
        // The answer to a WebSocket ping says that the packet before it was read: none is sent to a dead link.
        link.socket.ping();
        await Promise.race([new Promise((resolve) => link.socket.once("pong", resolve)), link.closed]);
      }
      link.socket.close();
      const code = await link.closed;
      // A client that ends its session says why, and the link is closed with the same: nothing to hold against the server.
      if (!hasSentClose) closeCodes.push(code);
    }
    return { links, closeCodes };
  }
});
