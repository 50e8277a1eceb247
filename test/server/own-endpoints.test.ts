// In which turn of the event loop the server's own endpoints begin with a socket, with real sockets.

import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it, vi } from "vitest";
import { forwardedField } from "../../src/server/forwarded-proof.ts";
import { closeWithSockets, listen } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";
import { SECRET, startCluster } from "./hub/cluster.ts";
import { startHub } from "./hub/stage.ts";

const stage = useStage();

describe("OwnEndpoints", () => {
  it("keeps no turn for sockets that are gone while they wait", async () => {
    const { own } = await startHub(stage);
    const taken: Socket[] = [];
    const server = createServer((socket) => taken.push(socket));
    closeWithSockets(stage, server);
    const port = await listen(server);
    for (let index = 0; index <= 200; index += 1) connect(port, "127.0.0.1").on("error", () => {});
    await poll(() => taken.length === 201, 5_000, "all connections", 2);
    const [last, ...gone] = taken;
    if (last === undefined) throw new Error("There are none");
    for (const socket of gone) own.take(socket, Buffer.alloc(0));
    const closed = gone.map((socket) => once(socket, "close"));
    for (const socket of gone) socket.destroy();
    await Promise.all(closed);
    let hasBegun = false;
    last.once("resume", () => {
      hasBegun = true;
    });
    own.take(last, Buffer.alloc(0));
    let turns = 0;
    for (; !hasBegun && turns < 200; turns += 1) await turn();
    expect(turns).toBeLessThan(5);
    expect(own.unauthenticated).toBe(1);
  });

  it("answers a peer that has said all and ended while it waited for its turn", async () => {
    const { own, hub } = await startHub(stage);
    const taken: Socket[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => taken.push(socket));
    closeWithSockets(stage, server);
    const client = connect(await listen(server), "127.0.0.1");
    const chunks: Buffer[] = [];
    client.on("data", (chunk) => chunks.push(chunk));
    const [socket] = await poll(() => (taken.length === 1 ? taken : null), 5_000, "the connection", 2);
    if (socket === undefined) throw new Error("There is none");
    const waiting: (() => void)[] = [];
    vi.spyOn(hub.turns, "run").mockImplementation((work) => {
      waiting.push(work);
      return () => {};
    });
    const head = "GET /control HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    own.take(socket, Buffer.from(head));
    client.end();
    await once(client, "finish");
    // The kernel has passed its end on by then.
    for (let count = 0; count < 20; count += 1) await turn();
    for (const work of waiting) work();
    await once(client, "close");
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 401 /);
  });

  it("begins with one socket in each turn that another node passes on", async () => {
    const { nodes } = await startCluster(stage, { nodes: 1 });
    const own = nodes[0]?.own;
    const upgrades: [IncomingMessage, Duplex, Buffer][] = [];
    const server = createHttpServer();
    server.on("upgrade", (...upgrade) => upgrades.push(upgrade));
    closeWithSockets(stage, server);
    const port = await listen(server);
    for (let index = 0; index < 3; index += 1) {
      const headers = { host: "test", connection: "upgrade", upgrade: "websocket" };
      request({ port, host: "127.0.0.1", path: "/nothing", headers })
        .on("error", () => {})
        .end();
    }
    await poll(() => upgrades.length === 3, 5_000, "all upgrades", 2);
    for (const [asked, socket, head] of upgrades) {
      const proof = forwardedField({ address: "192.0.2.1", sender: null }, asked, { to: "node-1", secret: SECRET });
      asked.headers["duplexity-forwarded"] = proof;
      own?.takeForwardedUpgrade(asked, socket, head);
    }
    const seen: number[] = [];
    for (let count = 0; count <= 3; count += 1) {
      seen.push(upgrades.filter(([, socket]) => socket.writableEnded).length);
      await turn();
    }
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it("does not keep what was read before it took a socket for as long as the socket lives", async () => {
    const { own } = await startHub(stage);
    const taken: Socket[] = [];
    const server = createServer((socket) => taken.push(socket));
    closeWithSockets(stage, server);
    const client = connect(await listen(server), "127.0.0.1").on("error", () => {});
    await poll(() => taken.length === 1, 5_000, "the connection", 2);
    const [socket] = taken;
    if (socket === undefined) throw new Error("There is none");
    const takeWithHead = (): WeakRef<Buffer> => {
      const head = Buffer.from("GET / HT");
      own.take(socket, head);
      return new WeakRef(head);
    };
    const kept = takeWithHead();
    await once(socket, "resume");
    setFlagsFromString("--expose-gc");
    const collectGarbage: () => void = runInNewContext("gc");
    for (let turns = 0; turns < 10; turns += 1) await turn();
    collectGarbage();
    expect(kept.deref()).toBeUndefined();
    // It is the beginning of a request all the same.
    client.write("TP/1.1\r\nHost: test\r\n\r\n");
    expect(String(await once(client, "data"))).toContain("This is a duplexity server");
  });
});
