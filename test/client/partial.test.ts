// A tunnel of which a hub takes some pipes only: those are served, and the others are told and asked for again, against hubs
// that the test drives by hand.

import { once } from "node:events";
import { createServer } from "node:net";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { NAME_KEPT_MS } from "../../src/client/first-link.ts";
import { forward, type Tunnel, type TunnelStatus } from "../../src/client/index.ts";
import { DuplexityError, RELAY_FEATURE } from "../../src/protocol/index.ts";
import { HANG_MS } from "../support/bars.ts";
import { useStage } from "../support/stage.ts";
import { forAtMost } from "../support/wait.ts";
import { FakeHub } from "./fake-hub.ts";
import { collect, listen } from "./support.ts";

const stage = useStage();
const REFUSAL = { code: "DPX_TCP_PORTS", message: "There are no TCP ports here" } as const;
let here: FakeHub;
let there: FakeHub;
let target: number;

beforeEach(async () => {
  // No wait is longer than it has to be.
  vi.spyOn(Math, "random").mockReturnValue(0);
  stage.defer(() => vi.restoreAllMocks());
  [here, there] = [await startHub("n1"), await startHub("n2")];
  here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
  const echo = createServer((socket) => socket.on("error", () => {}).pipe(socket));
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
  const pipes = [
    { name: "cat1", target },
    { name: "db", target: `tcp://127.0.0.1:${target}` },
  ];
  const tunnel = await forward({ server: here.url, pipes, links: 1 });
  stage.defer(() => tunnel.close());
  await here.next("live");
  const statuses: TunnelStatus[] = [];
  tunnel.on("status", (status) => statuses.push(status));
  return { tunnel, statuses };
}

function refuse(hub: FakeHub, ...names: string[]): void {
  hub.refusePipes = REFUSAL;
  hub.refuseOnly = names;
}

async function echoed(hub: FakeHub): Promise<void> {
  const visitor = collect();
  hub.open("cat1.localhost", visitor.handler).write(Buffer.from("served"));
  await visitor.received(6);
}

describe("Tunnel, some of whose pipes are refused", () => {
  it("does not come up with the others at the start", async () => {
    refuse(here, "db");
    await expect(up()).rejects.toMatchObject(REFUSAL);
    expect(here.lastDial?.wants).not.toContain("partial");
  });

  it("serves the others at the hub that it moves to, says which is missing, and has it as soon as it is taken", async () => {
    const { tunnel } = await up();
    refuse(there, "db");
    const missing = once(tunnel, "pipe");
    await here.die();
    await there.next("live");
    expect(await missing).toMatchObject([{ pipe: { name: "db", url: expect.stringContaining("db") }, error: REFUSAL }]);
    expect([tunnel.status.state, tunnel.pipes.map(({ name }) => name)]).toEqual(["up", ["cat1", "db"]]);
    await echoed(there);
    // It asks again and is refused again, and what it has stays as it is.
    const { session, link } = there;
    for (let dials = 0; dials < 2; dials += 1) await there.next("dial");
    expect([there.session === session, there.link === link, there.lastDial?.wants.includes("partial")]).toEqual([
      ...[true, true, false],
    ]);
    await echoed(there);
    const back = once(tunnel, "pipe");
    there.refusePipes = null;
    expect(await back).toMatchObject([{ pipe: { name: "db" }, error: null }]);
    expect([there.session === session, tunnel.status.state]).toEqual([true, "up"]);
    await echoed(there);
  });

  it("moves on to a hub that takes all of them", async () => {
    const { tunnel, statuses } = await up();
    const third = await startHub("n3");
    there.alternatives = [`ws://127.0.0.1:${third.port}/dialer`];
    refuse(there, "db");
    const changes: boolean[] = [];
    tunnel.on("pipe", ({ error }) => changes.push(error === null));
    here.send({ type: "drainRequest", deadlineMs: 30_000, dataPlaneUris: here.alternatives as string[] });
    await third.next("live");
    await vi.waitUntil(() => changes.length === 2, HANG_MS);
    expect(changes).toEqual([false, true]);
    await echoed(third);
    expect(statuses).toEqual([]);
  });

  it("comes back to a hub that it has left when no other one is there any more", async () => {
    const { tunnel } = await up();
    const third = await startHub("n3");
    there.alternatives = [`ws://127.0.0.1:${third.port}/dialer`];
    third.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    refuse(there, "db");
    await here.die();
    await there.next("live");
    await third.next("live");
    await vi.waitUntil(() => there.sockets.size === 0, HANG_MS);
    there.session?.close("DPX_SESSION_EXPIRED", "its client is elsewhere");
    await third.die();
    await there.next("live");
    expect(tunnel.status.state).toBe("up");
    await echoed(there);
  });

  it("comes back at once when what it has is lost while it asks for more, and nobody answers that", async () => {
    const { tunnel } = await up();
    refuse(there, "db");
    await here.die();
    await there.next("live");
    there.isSilent = true;
    there.events.length = 0;
    // Not the first ones: those are of the dead hub's address.
    while ((await there.next("upgrade")).path !== "/dialer");
    const lost = once(tunnel, "status");
    there.isSilent = false;
    there.link?.abort(new DuplexityError("DPX_LINK_LOST", "It was cut"));
    await forAtMost(lost, 9_000, "the word of it, and not the end of the dial");
    await there.next("live");
    await vi.waitUntil(() => tunnel.status.state === "up", HANG_MS);
    await echoed(there);
  });

  it("ends when one of them is somebody else's now", async () => {
    const { tunnel } = await up();
    there.refusePipes = { code: "DPX_NAME_TAKEN", message: "ben holds it" };
    there.refuseOnly = ["db"];
    const closed = once(tunnel, "close");
    await here.die();
    expect(await closed).toMatchObject([{ code: "DPX_NAME_TAKEN" }]);
  });

  it("does not miss one that is closed meanwhile", async () => {
    const { tunnel } = await up();
    refuse(there, "db");
    const missing = once(tunnel, "pipe");
    await here.die();
    await missing;
    await there.next("live");
    tunnel.closePipes(["db"], { drainMs: 0 }).catch(() => {});
    there.cut();
    await there.next("live");
    expect(there.lastDial).toMatchObject({ pipes: [{ name: "cat1" }] });
  });
});

describe("Tunnel that lives by its second link alone", () => {
  it("is not called up any longer than its names are kept for it", async () => {
    const third = await startHub("n3");
    const hubs = [here, there, third];
    // Time jumps below, and no link is dead because of that.
    for (const hub of hubs) hub.heartbeat = { idleMs: 3_600_000, timeoutMs: 3_600_000 };
    here.alternatives = [third, there].map(({ port }) => `ws://127.0.0.1:${port}/dialer`);
    const tunnel = await forward(target, { server: here.url, name: "cat1", links: 2 });
    stage.defer(() => tunnel.close());
    await third.next("live");
    third.refuseControl = REFUSAL;
    there.refusePipes = REFUSAL;
    const states: string[] = [];
    tunnel.on("status", ({ state }) => states.push(state));
    await here.die();
    for (let attempts = 0; attempts < 3; attempts += 1) await there.next("dial");
    expect([states, tunnel.status.state]).toEqual([[], "up"]);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + NAME_KEPT_MS);
    expect(await once(tunnel, "status")).toMatchObject([{ state: "reconnecting", code: REFUSAL.code }]);
    there.refusePipes = null;
    await once(tunnel, "reconnect");
    expect(tunnel.status.state).toBe("up");
  });
});
