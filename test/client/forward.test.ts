// `forward()` against a hub that the test drives by hand.

import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { forward, type Tunnel } from "../../src/client/index.ts";
import { FakeHub } from "./fake-hub.ts";
import { collect, listen } from "./support.ts";

let hub: FakeHub;
let echo: Server;
let target: number;
const tunnels: Tunnel[] = [];

beforeEach(async () => {
  hub = await new FakeHub().listen();
  echo = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  target = await listen(echo);
});

afterEach(async () => {
  await Promise.all(tunnels.splice(0).map((tunnel) => tunnel.close()));
  await hub.close();
  echo.close();
});

async function up(options: { name?: string; reports?: boolean } = {}): Promise<Tunnel> {
  const tunnel = await forward(target, { server: hub.url, name: "cat1", ...options });
  tunnels.push(tunnel);
  return tunnel;
}

describe("forward", () => {
  it("resolves when the pipes are registered, and carries bytes", async () => {
    const tunnel = await up();
    expect(tunnel.url).toBe(`http://cat1.localhost:${hub.port}`);
    expect(tunnel.pipes).toEqual([
      {
        name: "cat1",
        hostname: "cat1.localhost",
        protocol: "http",
        url: tunnel.url,
        target: `http://localhost:${target}`,
      },
    ]);
    expect(tunnel.status.state).toBe("up");
    await hub.next("live");
    const visitor = collect();
    const stream = hub.open("cat1.localhost", visitor.handler);
    stream.write(Buffer.from("hello"));
    await visitor.received(5);
    expect(visitor.text).toBe("hello");
    expect(visitor.isAccepted).toBe(true);
    expect(tunnel.statistics).toMatchObject({ requests: 1, openStreams: 1, bytesIn: 5, bytesOut: 5 });
  });
});
