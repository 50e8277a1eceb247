// Hubs that have too much to do, and nodes that are gone: where a client goes, and when. Against hubs that the test drives
// by hand.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { BACKOFF_HEALTHY_MS } from "../../src/client/backoff.ts";
import { type ForwardOptions, forward, type Tunnel, type TunnelStatus } from "../../src/client/index.ts";
import { Pause } from "../../src/client/pause.ts";
import { LOOK_AFTER_MS } from "../../src/client/second-link.ts";
import { MAX_MOVE_DELAY_MS, MOVE_SPREAD_MS } from "../../src/client/waits.ts";
import { DuplexityError, RELAY_FEATURE } from "../../src/protocol/index.ts";
import { HANG_MS } from "../support/bars.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { forAtMost } from "../support/wait.ts";
import { FakeHub } from "./fake-hub.ts";

const stage = useStage();
const MESSAGE = "This node has too much to do";
let here: FakeHub;
let there: FakeHub;

beforeEach(async () => {
  [here, there] = [await startHub(), await startHub()];
});

async function startHub(): Promise<FakeHub> {
  const hub = await new FakeHub().listen();
  hub.features = [RELAY_FEATURE];
  stage.defer(() => hub.close());
  return hub;
}

async function up(options: Partial<ForwardOptions> = {}): Promise<Tunnel> {
  const tunnel = await forward(9, { server: here.url, name: "cat1", links: 1, ...options });
  stage.defer(() => tunnel.close());
  return tunnel;
}

/** A tunnel with its second link `there`, whose hub has told it its turn. Time may jump: no link is dead because of that. */
async function upTwice(moveDelayMs: number): Promise<void> {
  for (const hub of [here, there]) hub.heartbeat = { idleMs: 3_600_000, timeoutMs: 3_600_000 };
  there.moveDelayMs = moveDelayMs;
  here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
  const tunnel = await forward("http://127.0.0.1:9", { server: here.url, name: "cat1", links: 2 });
  stage.defer(() => tunnel.close());
  await there.next("live");
}

function sendElsewhere(from: FakeHub, port: number): void {
  from.refuseDiscovery = {
    ...{ code: "DPX_OVERLOADED", message: MESSAGE, retryAfterMs: 5_000 },
    dataPlaneUris: [`ws://127.0.0.1:${port}/dialer`],
  };
}

async function redirectsAt(hub: FakeHub): Promise<number | undefined> {
  const { message } = await hub.next("message");
  return message.type === "discoveryRequest" ? message.redirects : undefined;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function controlsAt({ upgrades }: FakeHub): number {
  return upgrades.filter(({ url }) => url === "/control").length;
}

/** Waits are as long as they can be, or as short. */
function randomIs(value: number): void {
  vi.spyOn(Math, "random").mockReturnValue(value);
  stage.defer(() => vi.restoreAllMocks());
}

/** All waits from now on; `instead` has each in place of what it does, which is `wait`, or for another time. */
function recordWaits(instead?: (ms: number, wait: (otherMs?: number) => Promise<void>) => Promise<void>): number[] {
  const waits: number[] = [];
  const original = Pause.prototype.wait;
  vi.spyOn(Pause.prototype, "wait").mockImplementation(function (this: Pause, ms) {
    waits.push(ms);
    const wait = (otherMs = ms) => original.call(this, otherMs);
    return instead === undefined ? wait() : instead(ms, wait);
  });
  return waits;
}

/** For `recordWaits`: a wait of more than 0.9 s is over when something ends it, and only then. */
function onlyEnded(ms: number, wait: (otherMs?: number) => Promise<void>): Promise<void> {
  return wait(ms > MOVE_SPREAD_MS ? 3_600_000 : ms);
}

/** The first wait after `code`. */
async function waitAfter(tunnel: Tunnel, code: string): Promise<number> {
  for (;;) {
    const [status]: TunnelStatus[] = await once(tunnel, "status");
    if (status?.state === "reconnecting" && status.code === code) return status.delayMs;
  }
}

describe("A client that is sent elsewhere", () => {
  it("goes there at once, at its first connect, and says how often it was sent", async () => {
    sendElsewhere(here, there.port);
    const tunnel = await up();
    expect(tunnel.status.state).toBe("up");
    expect(await redirectsAt(here)).toBe(0);
    expect(await redirectsAt(there)).toBe(1);
    expect(there.lastDial?.clientId).toBe(tunnel.clientId);
  });

  it("is passed around three times at most, and told why then", async () => {
    sendElsewhere(here, there.port);
    sendElsewhere(there, here.port);
    // With the last answer comes a time, which is longer than it waits at its first connect.
    for (const hub of [here, there]) Object.assign(hub.refuseDiscovery ?? {}, { retryAfterMs: 60_000 });
    await expect(up()).rejects.toMatchObject({ code: "DPX_OVERLOADED", message: MESSAGE });
    expect([controlsAt(here), controlsAt(there)]).toEqual([2, 2]);
    expect([await redirectsAt(here), await redirectsAt(there)]).toEqual([0, 1]);
    expect([await redirectsAt(here), await redirectsAt(there)]).toEqual([2, 3]);
  });

  it("comes back to who sent it when nobody is there any more, and is to be taken then", async () => {
    sendElsewhere(here, await freePort());
    const connected = up();
    expect(await redirectsAt(here)).toBe(0);
    here.refuseDiscovery = null;
    await connected;
    expect(await redirectsAt(here)).toBe(4);
  });
});

describe("A client that is told to come later", () => {
  it("waits so long and up to half of that again, at its first connect, too", async () => {
    randomIs(0.999);
    here.refuseControl = { code: "DPX_UNAUTHENTICATED_LIMIT", message: "full", retryAfter: 1 };
    const connected = up();
    await here.next("upgrade");
    const askedAt = performance.now();
    here.refuseControl = null;
    await connected;
    expect(performance.now() - askedAt).toBeGreaterThan(1_200);
    expect(controlsAt(here)).toBe(2);
  });

  it("waits so long at least while it was up before", async () => {
    randomIs(0);
    const tunnel = await up();
    here.refuseDiscovery = { code: "DPX_OVERLOADED", message: MESSAGE, retryAfterMs: 7_000 };
    here.cut();
    expect(await waitAfter(tunnel, "DPX_OVERLOADED")).toBe(7_000);
  });

  it("waits no longer than a minute, whatever it is told", async () => {
    randomIs(0);
    const tunnel = await up();
    here.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full", retryAfter: 86_400 };
    here.cut();
    expect(await waitAfter(tunnel, "DPX_CLIENTS_LIMIT")).toBe(60_000);
  });
});

describe("A client whose node is gone", () => {
  it("waits any time up to 0.9 s before it comes to another one, where nodes are several", async () => {
    randomIs(0.999);
    const tunnel = await up();
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + BACKOFF_HEALTHY_MS);
    // First the control socket: its hub is to be asked for another one while the link serves, until that goes, too.
    here.control?.close(1_012);
    await here.next("controlClosed");
    const lost = waitAfter(tunnel, "DPX_LINK_LOST");
    here.link?.abort(new DuplexityError("DPX_LINK_LOST", "killed"));
    expect(await lost).toBe(0);
    expect(await waitAfter(tunnel, "DPX_LINK_LOST")).toBe(899);
  });

  it("sees first whether a node that had many is gone at all, and stays with it if not", async () => {
    randomIs(0);
    here.moveDelayMs = 5_000;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    await up();
    await here.next("live");
    here.cut();
    await here.next("live");
    expect([controlsAt(here), controlsAt(there)]).toEqual([2, 0]);
  });

  it("comes at its turn without a look where that is soon", async () => {
    randomIs(0);
    here.moveDelayMs = 600;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const tunnel = await up();
    const told: { delayMs: number; code: string }[] = [];
    tunnel.on("status", (status) => {
      if (status.state === "reconnecting") told.push({ delayMs: status.delayMs, code: status.code });
    });
    await here.close();
    await there.next("live");
    expect(told.map(({ code }) => code)).not.toContain("DPX_SERVER_UNREACHABLE");
    const delayMs = told.at(-1)?.delayMs ?? 0;
    expect([delayMs > 0, delayMs <= 600]).toEqual([true, true]);
  });

  it("opens another control socket where its link is, at whatever turn, when only that is lost", async () => {
    randomIs(0);
    here.moveDelayMs = 10;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    await up();
    await here.next("message");
    here.control?.terminate();
    await here.next("controlClosed");
    await here.next("message");
    expect([controlsAt(here), controlsAt(there)]).toEqual([2, 0]);
    expect(here.upgrades.filter(({ url }) => url === "/dialer")).toHaveLength(1);
  });

  it("asks the node of its link for another control socket until it has one, while the link lives", async () => {
    randomIs(0);
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    await up();
    await here.next("live");
    await here.next("message");
    here.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
    here.control?.terminate();
    await vi.waitUntil(() => controlsAt(here) >= 3, HANG_MS);
    here.refuseControl = null;
    await here.next("message");
    expect(controlsAt(there)).toBe(0);
  });

  it("asks soon, whatever its turn, and stops when the link goes: then it has its turn", async () => {
    randomIs(0.999);
    here.moveDelayMs = 20_000;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    await up();
    await here.next("live");
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + BACKOFF_HEALTHY_MS);
    const waits = recordWaits(onlyEnded);
    here.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
    here.control?.terminate();
    await vi.waitUntil(() => waits.some((ms) => ms > 900), HANG_MS);
    expect(Math.max(...waits)).toBeLessThan(10_000);
    here.link?.abort(new DuplexityError("DPX_LINK_LOST", "killed"));
    await vi.waitUntil(() => waits.some((ms) => ms > 18_000), HANG_MS);
    expect(controlsAt(there)).toBe(0);
  });

  it("gives up an ask that nobody answers when the link goes", async () => {
    randomIs(0);
    here.moveDelayMs = 10;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    await up();
    await here.next("live");
    here.isSilent = true;
    here.control?.terminate();
    await vi.waitUntil(() => controlsAt(here) === 2, HANG_MS);
    here.link?.abort(new DuplexityError("DPX_LINK_LOST", "killed"));
    await forAtMost(there.next("live"), 5_000, "a link to the other one, before the ask is late");
  });

  it("asks no more when the link of a hub that drains goes while it waits to ask again", async () => {
    randomIs(0.999);
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    await up();
    await here.next("live");
    const waits = recordWaits(onlyEnded);
    here.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
    here.control?.terminate();
    await vi.waitUntil(() => waits.some((ms) => ms > 900), HANG_MS);
    const asked = controlsAt(here);
    here.isSilent = true;
    here.link?.goAway(5_000);
    here.link?.close("DPX_DRAINING", "It goes");
    await there.next("live");
    expect(controlsAt(here)).toBe(asked);
  });

  it("goes on at once to where a hub that drains sends it, also while it is to be asked again only later", async () => {
    randomIs(0.999);
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    await up();
    await here.next("live");
    const waits = recordWaits(onlyEnded);
    here.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
    here.control?.terminate();
    await vi.waitUntil(() => waits.some((ms) => ms > 900), HANG_MS);
    here.refuseControl = null;
    here.refuseDiscovery = {
      ...{ code: "DPX_DRAINING", message: "It goes", dataPlaneUris: [`ws://127.0.0.1:${there.port}/dialer`] },
    };
    here.link?.goAway(5_000);
    await there.next("message");
    expect(controlsAt(there)).toBe(1);
  });

  it("waits when it has tried all that it knows, and does not begin anew at once", async () => {
    randomIs(0.5);
    here.moveDelayMs = 10;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const tunnel = await up();
    const delays: number[] = [];
    tunnel.on("status", (status) => {
      if (status.state === "reconnecting" && status.code === "DPX_SERVER_UNREACHABLE") delays.push(status.delayMs);
    });
    await Promise.all([here.close(), there.close()]);
    await vi.waitUntil(() => delays.length >= 6, HANG_MS);
    expect(delays.filter((ms) => ms === 0).length).toBeLessThanOrEqual(1);
  });

  it("does not look where nodes have no address of their own: whoever answered would have all of them at once", async () => {
    randomIs(0);
    here.moveDelayMs = 20_000;
    const waits = recordWaits();
    await up();
    await here.next("live");
    here.cut();
    await vi.waitUntil(() => waits.some((ms) => ms > 19_000), HANG_MS);
    expect(controlsAt(here)).toBe(1);
  });

  it("comes back to a node that says itself when, and is not gone, long before its turn", async () => {
    randomIs(0);
    here.moveDelayMs = 20_000;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const tunnel = await up();
    await here.next("live");
    here.refuseControl = { code: "DPX_UNAUTHENTICATED_LIMIT", message: "full", retryAfter: 1 };
    here.cut();
    expect(await waitAfter(tunnel, "DPX_UNAUTHENTICATED_LIMIT")).toBeLessThan(5_000);
    here.refuseControl = null;
    await here.next("live");
    expect(controlsAt(there)).toBe(0);
  });

  it("has its turn after the loss of the node, not of the link that went before", async () => {
    randomIs(0);
    here.moveDelayMs = 900;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const tunnel = await up();
    await here.next("live");
    let time = performance.now() + BACKOFF_HEALTHY_MS;
    vi.spyOn(performance, "now").mockImplementation(() => time);
    here.refuseDialer = { code: "DPX_STORE", message: "no Redis" };
    here.link?.abort(new DuplexityError("DPX_LINK_LOST", "cut"));
    await waitAfter(tunnel, "DPX_STORE");
    time += 20_000;
    const waits = recordWaits();
    here.control?.terminate();
    await there.next("live");
    expect(waits).toContain(900);
  });

  it("tries the next one at once when another one is gone as well, each once before it waits", async () => {
    const third = await startHub();
    randomIs(0.999);
    here.moveDelayMs = 10;
    here.alternatives = [third, there].map(({ port }) => `ws://127.0.0.1:${port}/dialer`);
    const tunnel = await up();
    const told: { delayMs: number; code: string }[] = [];
    tunnel.on("status", (status) => {
      if (status.state === "reconnecting") told.push({ delayMs: status.delayMs, code: status.code });
    });
    await Promise.all([here.close(), there.close()]);
    await third.next("live");
    expect(told.filter(({ code }) => code === "DPX_SERVER_UNREACHABLE")).toEqual([
      { delayMs: 0, code: "DPX_SERVER_UNREACHABLE" },
    ]);
  });

  it("asks the node itself whether it is gone, not whoever is behind the same balancer", async () => {
    randomIs(0);
    here.moveDelayMs = 5_000;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    let leadsTo = here.port;
    const balancer = createServer((client) => {
      const node = connect(leadsTo, "127.0.0.1");
      for (const socket of [client, node]) socket.on("error", () => {});
      client.pipe(node).pipe(client);
    });
    await new Promise<void>((resolve) => balancer.listen(0, "127.0.0.1", resolve));
    stage.defer(() => void balancer.close());
    await up({ server: `http://127.0.0.1:${portOf(balancer)}` });
    await here.next("live");
    leadsTo = there.port;
    here.cut();
    await here.next("live");
    expect([controlsAt(here), controlsAt(there)]).toEqual([2, 0]);
  });

  it("counts the time without an answer for no turn: all who waited for it would come together", async () => {
    randomIs(0);
    here.moveDelayMs = 5_000;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const tunnel = await up();
    here.isSilent = true;
    here.cut();
    expect(await waitAfter(tunnel, "DPX_SERVER_UNREACHABLE")).toBeGreaterThan(3_500);
    expect([controlsAt(here), controlsAt(there)]).toEqual([2, 0]);
  });

  it("comes to another one after what a node that had many has told it, when that is gone", async () => {
    randomIs(0.999);
    here.moveDelayMs = 86_400_000;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const tunnel = await up();
    const delays: number[] = [];
    tunnel.on("status", (status) => {
      if (status.state === "reconnecting") delays.push(status.delayMs);
    });
    // It has been up for a while.
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + BACKOFF_HEALTHY_MS);
    await here.close();
    await waitAfter(tunnel, "DPX_SERVER_UNREACHABLE");
    // The look whether it is gone, and then what is left of its turn, in which the look has been.
    const [lookMs, moveMs = 0] = delays.slice(-2);
    expect([lookMs, moveMs <= MAX_MOVE_DELAY_MS, moveMs > MOVE_SPREAD_MS]).toEqual([899, true, true]);
    expect(Number.isInteger(moveMs)).toBe(true);
    expect(controlsAt(there)).toBe(0);
  });

  it("comes sooner when only its second link is left, which serves no TCP pipe, than where that serves all of them", async () => {
    randomIs(0);
    here.moveDelayMs = 20_000;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const waits = recordWaits();
    for (const protocol of ["http", "tcp"]) {
      const tunnel = await forward(`${protocol}://127.0.0.1:9`, { server: here.url, name: "cat1", links: 2 });
      stage.defer(() => tunnel.close());
      await there.next("live");
      waits.length = 0;
      here.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
      here.cut();
      await vi.waitUntil(() => waits.some((ms) => ms > 3_000), HANG_MS);
      expect([protocol, Math.max(...waits) > here.moveDelayMs]).toEqual([protocol, protocol === "http"]);
      await tunnel.close();
      here.refuseControl = null;
    }
  });

  it("looks first whether the hub of its second link is gone when that is lost", async () => {
    randomIs(0);
    await upTwice(25_000);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + LOOK_AFTER_MS);
    there.cut();
    await forAtMost(there.next("live"), HANG_MS, "its second link, long before its turn");
    expect(controlsAt(there)).toBe(2);
  });

  it("counts the turn of its second link from the loss, also when it has looked first", async () => {
    randomIs(0);
    await upTwice(25_000);
    const now = performance.now.bind(performance);
    let passedMs = LOOK_AFTER_MS;
    vi.spyOn(performance, "now").mockImplementation(() => now() + passedMs);
    const waits = recordWaits(async (ms, wait) => {
      // Before the look.
      if (ms === 0) passedMs += 3_000;
      await wait();
    });
    there.refuseControl = { code: "DPX_CLIENTS_LIMIT", message: "full" };
    there.cut();
    await vi.waitUntil(() => waits.some((ms) => ms > 40_000 && ms !== 60_000), HANG_MS);
    const turnMs = waits.find((ms) => ms > 40_000 && ms !== 60_000) ?? 0;
    expect([turnMs > 46_000, turnMs <= 47_000]).toEqual([true, true]);
  });

  it("counts the time in which the hub of its second link does not answer for no turn either", async () => {
    randomIs(0);
    await upTwice(25_000);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + LOOK_AFTER_MS);
    const waits = recordWaits();
    there.isSilent = true;
    there.cut();
    await vi.waitUntil(() => waits.some((ms) => ms > 40_000 && ms !== 60_000), HANG_MS);
    expect(waits.find((ms) => ms > 40_000 && ms !== 60_000)).toBeGreaterThan(48_500);
  });

  it("waits longer each time for a hub that cuts its second link as soon as it is up, however soon its turn is", async () => {
    randomIs(0.999);
    there.moveDelayMs = 10;
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    // The long ones are ended by what they wait for.
    const waits = recordWaits(async (ms, wait) => {
      if (ms >= 10_000) await wait();
    });
    const tunnel = await forward("http://127.0.0.1:9", { server: here.url, name: "cat1", links: 2 });
    stage.defer(() => tunnel.close());
    for (let cuts = 0; cuts < 3; cuts += 1) {
      await there.next("live");
      there.cut();
    }
    await vi.waitUntil(() => waits.filter((ms) => ms < 10_000).length >= 3, HANG_MS);
    expect(waits.filter((ms) => ms < 10_000).slice(0, 3)).toEqual([500, 999, 1_998]);
  });

  it("does not come back at once to a hub that cuts its second link again and again", async () => {
    randomIs(0);
    await upTwice(25_000);
    const waits: number[] = recordWaits(async () => {
      if (waits.length > 1) await new Promise(() => {});
    });
    there.cut();
    await vi.waitUntil(() => waits.length > 1, HANG_MS);
    expect(waits).toContain(50_000);
  });

  it("comes back to the one that has told it when, three times before it goes elsewhere", async () => {
    randomIs(0);
    here.alternatives = [`ws://127.0.0.1:${there.port}/dialer`];
    const tunnel = await up();
    there.refuseControl = { code: "DPX_UNAUTHENTICATED_LIMIT", message: "full", retryAfter: 0 };
    here.control?.close(1_012);
    here.link?.abort(new DuplexityError("DPX_LINK_LOST", "killed"));
    await here.close();
    const codes: string[] = [];
    for (;;) {
      const [status]: TunnelStatus[] = await once(tunnel, "status");
      if (status?.state === "up") break;
      if (status?.state !== "reconnecting") throw new Error("It has ended");
      codes.push(status.code);
      // Now it has tried the one that is gone.
      if (status.code === "DPX_SERVER_UNREACHABLE") there.refuseControl = null;
    }
    expect(codes.filter((code) => code !== "DPX_LINK_LOST")).toEqual([
      ...Array(4).fill("DPX_UNAUTHENTICATED_LIMIT"),
      "DPX_SERVER_UNREACHABLE",
    ]);
  });
});
