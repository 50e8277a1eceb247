// A hub that says that it will go: the client is registered at another one before that, against hubs that the test drives
// by hand.

import { createServer } from "node:net";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { forward, type Tunnel, type TunnelStatus } from "../../src/client/index.ts";
import { DuplexityError, RELAY_FEATURE } from "../../src/protocol/index.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { useStage } from "../support/stage.ts";
import { FakeHub } from "./fake-hub.ts";
import { collect, listen } from "./support.ts";

const stage = useStage();
let here: FakeHub;
let there: FakeHub;
let target: number;

beforeEach(async () => {
  [here, there] = [await startHub("n1"), await startHub("n2")];
  const echo = createServer((socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  target = await listen(echo);
  stage.defer(() => echo.close());
});

async function startHub(nodeId: string): Promise<FakeHub> {
  const hub = await new FakeHub().listen();
  hub.nodeId = nodeId;
  hub.features = [RELAY_FEATURE];
  stage.defer(() => hub.close());
  return hub;
}

async function up(): Promise<{ readonly tunnel: Tunnel; readonly statuses: TunnelStatus[] }> {
  const tunnel = await forward(target, { server: here.url, name: "cat1", links: 1 });
  stage.defer(() => tunnel.close());
  await here.next("live");
  const statuses: TunnelStatus[] = [];
  tunnel.on("status", (status) => statuses.push(status));
  return { tunnel, statuses };
}

function announce(): void {
  here.send({ type: "drainRequest", deadlineMs: 30_000, dataPlaneUris: [`ws://127.0.0.1:${there.port}/dialer`] });
}

describe("Tunnel at a hub that drains", () => {
  it("is registered at another hub while the old link serves on, and then does without it", async () => {
    const { tunnel, statuses } = await up();
    const visitor = collect();
    const stream = here.open("cat1.localhost", visitor.handler);
    announce();
    const { message } = await there.next("dial");
    expect(message).toMatchObject({ clientId: tunnel.clientId, pipes: [{ name: "cat1" }] });
    await there.next("live");
    stream.write(Buffer.from("over the old link"));
    await visitor.received(17);
    const again = collect();
    there.open("cat1.localhost", again.handler).write(Buffer.from("over the new one"));
    await again.received(16);
    await here.die();
    there.open("cat1.localhost", again.handler).write(Buffer.from(" and on"));
    await again.received(23);
    expect(statuses).toEqual([]);
    expect(there.upgrades).toHaveLength(2);
  });

  it("stays while no other hub takes it, and comes back at once when the old one has gone", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    stage.defer(() => vi.restoreAllMocks());
    there.refuseControl = { code: "DPX_LIMIT", message: "There is no room" };
    const { statuses } = await up();
    announce();
    await there.next("upgrade");
    const visitor = collect();
    here.open("cat1.localhost", visitor.handler).write(Buffer.from("still here"));
    await visitor.received(10);
    expect(statuses).toEqual([]);
    there.refuseControl = null;
    here.cut();
    await there.next("live");
    expect(statuses[0]).toMatchObject({ state: "reconnecting", delayMs: 0 });
  });

  describe("and the others have no addresses of their own", () => {
    let balancer: FaultProxy;
    let tunnel: Tunnel;

    beforeEach(async () => {
      balancer = await FaultProxy.start(stage, here.port);
      tunnel = await forward(target, { server: balancer.url, name: "cat1", links: 1 });
      stage.defer(() => tunnel.close());
      await here.next("live");
    });

    it("comes to another one by the given address, in a while", async () => {
      balancer.targetPort = there.port;
      here.send({ type: "drainRequest", deadlineMs: 30_000, dataPlaneUris: [] });
      await there.next("live");
      const visitor = collect();
      here.open("cat1.localhost", visitor.handler).write(Buffer.from("over the old link"));
      await visitor.received(17);
      expect(tunnel.status.state).toBe("up");
    });

    it("takes no link to the same hub for another one", async () => {
      here.send({ type: "drainRequest", deadlineMs: 30_000, dataPlaneUris: [] });
      const first = here.link;
      for (let upgrades = 0; upgrades < 3; upgrades += 1) await here.next("upgrade");
      await here.next("controlClosed");
      expect([here.link === first, tunnel.status.state]).toEqual([true, "up"]);
    });

    it("does not wait once its link is gone", async () => {
      vi.spyOn(Math, "random").mockReturnValue(0.999);
      stage.defer(() => vi.restoreAllMocks());
      balancer.targetPort = there.port;
      here.send({ type: "drainRequest", deadlineMs: 30_000, dataPlaneUris: [] });
      const heard = new Promise((resolve) => here.control?.once("pong", resolve));
      here.control?.ping();
      await heard;
      const lostAt = performance.now();
      here.cut();
      await there.next("live");
      // It would wait for 1.5 s, by a timer of this process.
      expect(performance.now() - lostAt).toBeLessThan(1_400);
    });
  });

  it("says goodbye to both hubs", async () => {
    const { tunnel } = await up();
    announce();
    await there.next("live");
    await here.next("message");
    await there.next("message");
    await tunnel.close();
    for (const hub of [here, there]) {
      expect((await hub.next("message")).message.type).toBe("clientDisconnectRequest");
    }
  });

  it("does not bring back a pipe that is closed while it moves", async () => {
    const options = { server: here.url, links: 1 as const };
    const tunnel = await forward({ ...options, pipes: ["cat1", "cat2"].map((name) => ({ target, name })) });
    stage.defer(() => tunnel.close());
    await here.next("live");
    there.registers = false;
    announce();
    await there.next("dial");
    void tunnel.closePipes(["cat2"]);
    await there.next("message");
    there.registerNow();
    expect((await there.next("message")).message).toMatchObject({ type: "closePipesRequest", names: ["cat2"] });
  });

  it("tells both hubs of a pipe that is closed", async () => {
    const options = { server: here.url, links: 1 as const };
    const tunnel = await forward({ ...options, pipes: ["cat1", "cat2"].map((name) => ({ target, name })) });
    stage.defer(() => tunnel.close());
    await here.next("live");
    announce();
    await there.next("live");
    await here.next("message");
    await there.next("message");
    void tunnel.closePipes(["cat2"]);
    for (const hub of [here, there]) {
      expect((await hub.next("message")).message).toMatchObject({ type: "closePipesRequest", names: ["cat2"] });
    }
  });

  it("ends for good when the hub that drains says so", async () => {
    const { tunnel } = await up();
    announce();
    await there.next("live");
    const closed = new Promise((resolve) => tunnel.on("close", resolve));
    here.send({ type: "forceDisconnectRequest", code: "DPX_KICKED", by: "ana", reason: "", until: null });
    expect(await closed).toBeInstanceOf(DuplexityError);
    await there.next("controlClosed");
  });
});
