// Sessions over another node's hub: with real sockets between the nodes, real clients, and ways that are cut.

import { once } from "node:events";
import { describe, expect, it, vi } from "vitest";
import { forward, newClientKey, type Tunnel } from "../../../src/client/index.ts";
import { DuplexityError, type Stream, type StreamHandler } from "../../../src/protocol/index.ts";
import type { Registry } from "../../../src/server/backend/index.ts";
import { DEFAULT_LIMITS } from "../../../src/server/serve-options.ts";
import { seededBytes, seededSha256, sha256 } from "../../support/seeded.ts";
import { useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { deferred, poll, within } from "../../support/wait.ts";
import { type Cluster, type ClusterNode, type ClusterOptions, SECRET, startCluster } from "./cluster.ts";
import { HandClient } from "./stage.ts";
import { TokenBook } from "./token-book.ts";

const stage = useStage();
const HOST = "cat1.test";
const ADMIN = new TokenBook().person("ana", { isAdmin: true });
const HAND_KEY = newClientKey();
const MIB = 1_048_576;

interface Download {
  readonly handler: StreamHandler;
  readonly done: Promise<string>;
  bytes: number;
  stream: Stream | null;
}

/** A visitor that reads all and answers its sha256. */
function download(onBytes: (bytes: number) => void = () => {}): Download {
  const hash = sha256();
  const { promise, resolve, reject } = deferred<string>();
  promise.catch(() => {});
  const made: Download = {
    bytes: 0,
    stream: null,
    done: promise,
    handler: {
      onAccept() {},
      onData(chunk) {
        hash.update(chunk);
        made.bytes += chunk.length;
        made.stream?.consume(chunk.length);
        onBytes(made.bytes);
      },
      onEnd: () => resolve(hash.digest("hex")),
      onDrain() {},
      onReset: (error: DuplexityError) => reject(error),
    },
  };
  return made;
}

async function visit(node: ClusterNode, made: Download): Promise<Stream> {
  const stream = await node.open(HOST, made.handler);
  made.stream = stream;
  return stream;
}

async function clientAt(node: ClusterNode, port: number, links: 1 | 2 = 1): Promise<Tunnel> {
  const options = { server: node.url, name: "cat1", key: newClientKey(), links };
  const tunnel = await forward(`http://127.0.0.1:${port}`, options);
  stage.defer(() => tunnel.close());
  return tunnel;
}

/** Whether the only client has a link here: its ticket is used, its dialer has become one. */
function hasLink({ hub }: ClusterNode): boolean {
  const { clients, tickets, dialers } = hub.statistics;
  return clients === 1 && tickets === 0 && dialers === 0;
}

async function cluster(
  options: ClusterOptions = {},
): Promise<Cluster & { readonly a: ClusterNode; readonly b: ClusterNode }> {
  const made = await startCluster(stage, options);
  const [a, b] = made.nodes;
  if (a === undefined || b === undefined) throw new Error("a cluster has two nodes");
  return { ...made, a, b };
}

/** From now on `hostname` is refused at those nodes. Answers a list of the nodes that refused it, which grows. @param after Not before. */
function refuseAt(
  registry: Registry,
  hostname: string,
  nodeIds: readonly string[],
  after: Promise<void> = Promise.resolve(),
): string[] {
  const refused: string[] = [];
  const register = registry.register.bind(registry);
  const spy = vi.spyOn(registry, "register").mockImplementation(async (registration) => {
    const { nodeId } = registration;
    if (registration.hostname !== hostname || !nodeIds.includes(nodeId)) return register(registration);
    refused.push(nodeId);
    await after;
    throw new DuplexityError("DPX_TCP_PORTS", "There are no TCP ports here");
  });
  stage.defer(() => spy.mockRestore());
  return refused;
}

/** Sends `size` seeded bytes to whoever connects. */
function sender(size: number) {
  const bytes = seededBytes(7, size);
  return startTcpOrigin(stage, (socket) => {
    socket.resume();
    socket.end(bytes);
  });
}

describe("Hub in a cluster", () => {
  it("reaches a client over the hub that has its link", async () => {
    const { a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    await clientAt(a, origin.port);
    const made = download();
    const stream = await visit(b, made);
    stream.write("meow");
    stream.end();
    expect(await within(made.done, 5_000, "the echo")).toBe(sha256().update("meow").digest("hex"));
    expect(a.hub.statistics).toMatchObject({ clients: 1, remoteSessions: 0, peers: 1, relays: 1 });
    expect(b.hub.statistics).toMatchObject({ clients: 0, remoteSessions: 1, peers: 1, relays: 0 });
  });

  it.each([
    ["the visitor's own", "node-2"],
    ["a third one", "node-3"],
  ])(
    "brings a download through while the client's hub is killed and the client comes to %s",
    async (_which, alternative) => {
      const { nodes, a, b } = await cluster({ nodes: 3, alternative });
      const size = 48 * MIB;
      const origin = await sender(size);
      await clientAt(a, origin.port);
      let isKilled = false;
      const made = download((bytes) => {
        if (bytes < size / 3 || isKilled) return;
        isKilled = true;
        a.kill();
      });
      await visit(b, made);
      expect(await within(made.done, 20_000, "the download")).toBe(seededSha256(7, size));
      expect(isKilled).toBe(true);
      expect(nodes.find(({ nodeId }) => nodeId === alternative)?.hub.statistics.clients).toBe(1);
      expect(b.hub.statistics.remoteSessions).toBe(alternative === b.nodeId ? 0 : 1);
    },
  );

  it("ends streams whose client has left while it had no way to it", async () => {
    const { registry, a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.write("open"));
    const tunnel = await clientAt(a, origin.port);
    const opened = deferred<void>();
    const made = download(() => opened.resolve());
    await visit(b, made);
    await opened.promise;
    a.peerProxy.isRefusing = true;
    a.peerProxy.cutAll();
    await poll(() => b.log.some((line) => line.includes("The way to")), 5_000, "the way's end", 5);
    const record = await registry.locate(HOST);
    await registry.remove(HOST, tunnel.clientId, record?.epoch ?? 0, "left");
    await expect(within(made.done, 5_000, "the stream's end")).rejects.toMatchObject({ code: "DPX_CLIENT_AWAY" });
  });

  it("ends streams whose client is gone after its goodbye", async () => {
    const { a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.write("open"));
    const tunnel = await clientAt(a, origin.port);
    const opened = deferred<void>();
    const made = download(() => opened.resolve());
    await visit(b, made);
    await opened.promise;
    const closed = tunnel.close({ drainMs: 60_000 });
    await poll(() => b.hub.routes.locate(HOST) === null, 5_000, "the goodbye", 5);
    a.clientProxy.isRefusing = true;
    a.clientProxy.cutAll();
    await expect(within(made.done, 10_000, "the stream's end")).rejects.toMatchObject({ code: "DPX_CLIENT_AWAY" });
    await closed;
  });

  it("brings a download to its end over the link that is left to a client that has said goodbye", async () => {
    const { nodes, a, b } = await cluster({ nodes: 3 });
    const c = nodes[2];
    if (c === undefined) throw new Error("there is no third node");
    const size = 48 * MIB;
    const origin = await sender(size);
    const tunnel = await clientAt(a, origin.port, 2);
    const second = await poll(() => [b, c].find(hasLink), 5_000, "the second link", 5);
    const third = second === b ? c : b;
    let isClosing = false;
    let isCut = false;
    const made = download((bytes) => {
      if (!isClosing) void tunnel.close({ drainMs: 60_000 });
      isClosing = true;
      const isGone = third.hub.statistics.routes === 0;
      if (!isGone || isCut || bytes === size) return;
      isCut = true;
      const carrier = a.hub.statistics.relays > 0 ? a : second;
      carrier.clientProxy.isRefusing = true;
      carrier.clientProxy.cutAll();
    });
    await visit(third, made);
    expect(await within(made.done, 20_000, "the download")).toBe(seededSha256(7, size));
    expect(isCut).toBe(true);
  });

  it("brings an upload through while the client's hub is killed", async () => {
    const { a, b } = await cluster({ nodes: 3, alternative: "node-3" });
    const size = 48 * MIB;
    const hash = sha256();
    const received = deferred<string>();
    let bytes = 0;
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.on("data", (chunk: Buffer) => {
        hash.update(chunk);
        bytes += chunk.length;
        if (bytes > size / 3) a.kill();
      });
      socket.on("end", () => received.resolve(hash.digest("hex")));
    });
    await clientAt(a, origin.port);
    const content = seededBytes(9, size);
    let offset = 0;
    let stream: Stream | null = null;
    const pump = (): void => {
      while (stream !== null && offset < size) {
        const chunk = Buffer.from(content.subarray(offset, offset + 65_536));
        offset += chunk.length;
        if (!stream.write(chunk)) return;
      }
      stream?.end();
      stream = null;
    };
    stream = await b.open(HOST, { ...download().handler, onDrain: pump });
    pump();
    expect(await within(received.promise, 20_000, "the upload")).toBe(seededSha256(9, size));
  });

  it("goes on over the same link of the client when the socket between the nodes is cut", async () => {
    const { a, b } = await cluster();
    const size = 32 * MIB;
    const origin = await sender(size);
    await clientAt(a, origin.port);
    let cuts = 0;
    const made = download((bytes) => {
      if (cuts < 4 && bytes > (size / 6) * (cuts + 1)) {
        cuts += 1;
        a.peerProxy.cutAll();
      }
    });
    await visit(b, made);
    expect(await within(made.done, 20_000, "the download")).toBe(seededSha256(7, size));
    expect([cuts, a.hub.statistics.clients, b.hub.statistics.clients]).toEqual([4, 1, 0]);
  });

  it("goes on with a node's own session when its client moves to another hub, and back", async () => {
    const { a, b } = await cluster();
    const size = 48 * MIB;
    const origin = await sender(size);
    await clientAt(a, origin.port);
    let cuts = 0;
    const made = download((bytes) => {
      if (cuts === 0 && bytes > size / 4) {
        cuts += 1;
        a.clientProxy.cutAll();
      } else if (cuts === 1 && bytes > size / 2) {
        cuts += 1;
        b.clientProxy.cutAll();
      }
    });
    await visit(a, made);
    expect(await within(made.done, 20_000, "the download")).toBe(seededSha256(7, size));
    expect(cuts).toBe(2);
  });

  it("goes on with a session whose link's end it hears of late, when it knows of no other node: it was frozen", async () => {
    let isAwake = true;
    const knowsOthers = (nodeId: string): boolean => isAwake || nodeId !== "node-1";
    const { registry, a } = await cluster({ knowsOthers });
    const size = 8 * MIB;
    const origin = await sender(size);
    await clientAt(a, origin.port);
    const begun = deferred<void>();
    const made = download(() => begun.resolve());
    await visit(a, made);
    await begun.promise;
    a.clientProxy.cutNear();
    await poll(
      async () => (await registry.locate(HOST))?.nodeId === "node-2",
      20_000,
      "its client at the other hub",
      5,
    );
    isAwake = false;
    a.clientProxy.cutAll();
    await poll(() => a.hub.statistics.links === 0, 5_000, "the link's end", 5);
    isAwake = true;
    expect(await within(made.done, 20_000, "the download")).toBe(seededSha256(7, size));
  });

  it("ends its session with a client that was kicked at its hub, and the visitors' streams with it", async () => {
    const { a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.write("open"));
    const tunnel = await clientAt(a, origin.port);
    const opened = deferred<void>();
    const made = download(() => opened.resolve());
    await visit(b, made);
    await opened.promise;
    const closed = deferred<Error | null>();
    tunnel.on("close", closed.resolve);
    await a.hub.kick({ who: "cat1", by: "ana", reason: "maintenance", until: null });
    await expect(within(made.done, 5_000, "the stream's end")).rejects.toMatchObject({ code: "DPX_KICKED" });
    expect(await closed.promise).toMatchObject({ code: "DPX_KICKED" });
    await poll(() => b.hub.statistics.remoteSessions === 0, 5_000, "the session's end", 5);
    expect(a.hub.statistics.relays).toBe(0);
  });

  it("keeps a client's other sessions when a node with one is gone", async () => {
    const { a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const tunnel = await clientAt(a, origin.port);
    await visit(b, download());
    b.hub.close();
    const made = download();
    const stream = await visit(a, made);
    stream.write("still here");
    stream.end();
    await within(made.done, 5_000, "the echo");
    expect(tunnel.status.state).toBe("up");
  });

  it("opens nothing to another owner's client that has taken the same clientId elsewhere", async () => {
    const { a, b, registry } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const tunnel = await clientAt(a, origin.port);
    // Its own streams are opened.
    await visit(a, download());
    await poll(() => origin.sockets.length === 1, 5_000, "the client's own stream", 2);
    const record = await registry.locate(HOST);
    if (record === null) throw new Error("cat1 is not registered");
    // As if the name were another owner's, whose client said that it is called so.
    await registry.remove(HOST, tunnel.clientId, record.epoch, "left");
    await registry.register({ ...record, hostname: "dog1.test", ownerId: "eve", ownerName: "eve" });
    for (const node of [a, b]) {
      const request = { hostname: "dog1.test", protocol: "http", visitor: "", isTls: false } as const;
      expect(() => node.hub.routes.open(node.routeTo("dog1.test"), request, download().handler)).toThrow(
        expect.objectContaining({ code: "DPX_CLIENT_AWAY" }),
      );
    }
    await poll(() => b.log.some((line) => line.includes("is not at this hub")), 5_000, "the hub's refusal", 5);
    expect(origin.sockets).toHaveLength(1);
  });

  it.each(["127.0.0.1:PORT", "http://127.0.0.1:PORT", "node-1@127.0.0.1:PORT", "../node-1"])(
    "goes nowhere for a registry entry whose node is %s",
    async (nodeId) => {
      const { a, b, registry } = await cluster();
      const trap = await startTcpOrigin(stage, (socket) => socket.resume());
      const known = { hostname: HOST, protocol: "http", clientId: "client-0001", wantsReports: false } as const;
      const hostile = { ownerId: "eve", ownerName: "eve", nodeId: nodeId.replace("PORT", String(trap.port)) };
      await registry.register({ ...known, ...hostile });
      const request = { hostname: HOST, protocol: "http", visitor: "", isTls: false } as const;
      for (const node of [a, b]) {
        expect(() => node.hub.routes.open(node.routeTo(HOST), request, download().handler)).toThrow(
          expect.objectContaining({ code: "DPX_CLIENT_AWAY" }),
        );
        await poll(() => node.log.some((line) => line.includes("it is no node of this cluster")), 5_000, "no way", 5);
      }
      expect(trap.sockets).toEqual([]);
    },
  );

  it("refuses a node that does not know the secret, and is refused by it", async () => {
    const { a, b } = await cluster({ secretsOf: (nodeId) => [`${nodeId} has a secret of its own`] });
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    await clientAt(a, origin.port);
    const request = { hostname: HOST, protocol: "http", visitor: "", isTls: false } as const;
    expect(() => b.hub.routes.open(b.routeTo(HOST), request, download().handler)).toThrow(/not connected/);
    await poll(() => a.log.some((line) => /^warn A peer was refused: .*secret/.test(line)), 5_000, "the refusal", 5);
    expect([a.hub.statistics.peers, origin.sockets.length]).toEqual([0, 0]);
  });

  it("takes either of two secrets while they are changed", async () => {
    const next = "the next secret of this cluster";
    const secretsOf = (nodeId: string) => (nodeId === "node-1" ? [SECRET, next] : [next, SECRET]);
    const { a, b } = await cluster({ secretsOf });
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    await clientAt(a, origin.port);
    const made = download();
    const stream = await visit(b, made);
    stream.end();
    await within(made.done, 5_000, "the stream's end");
  });

  it("does not let a client say that it is up when only its second link is back, and no hub has its names", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.05);
    stage.defer(() => vi.restoreAllMocks());
    const { nodes, registry, a } = await cluster({ nodes: 3 });
    const { port } = await startTcpOrigin(stage, (socket) => socket.resume());
    const tunnel = await clientAt(a, port, 2);
    await poll(() => nodes.filter(hasLink).length === 2, 5_000, "both links", 5);
    const refusal = new DuplexityError("DPX_TCP_PORTS", "There are no TCP ports here");
    const register = vi.spyOn(registry, "register").mockRejectedValue(refusal);
    const states: string[] = [];
    tunnel.on("status", ({ state }) => states.push(state));
    for (const { clientProxy } of nodes.slice(1)) clientProxy.cutAll();
    a.kill();
    const isBack = (): boolean => nodes.slice(1).some(({ hub }) => hub.statistics.links > 0);
    await poll(() => states.length > 0 && isBack(), 15_000, "the second link", 5);
    register.mockClear();
    await poll(() => register.mock.calls.length > 1, 15_000, "two attempts of the first", 5);
    expect([new Set(states), tunnel.status.state]).toEqual([new Set(["reconnecting"]), "reconnecting"]);
    register.mockRestore();
    await once(tunnel, "reconnect");
    expect(tunnel.status.state).toBe("up");
  });

  describe("that takes a name over from its client's other hub, and refuses it another", () => {
    async function twice(options: ClusterOptions = {}) {
      const made = await cluster({ renewEveryMs: 100, ...options });
      const by = ({ url }: ClusterNode): HandClient =>
        new HandClient(stage, url, { clientId: "client-1", key: HAND_KEY });
      const [client, late] = [by(made.a), by(made.b)];
      const renewals = vi.spyOn(made.registry, "renewAll").mock.calls;
      /** The name leads to `nodeId`, which knows its epoch. */
      const leadsTo = async (nodeId: string, epoch: number): Promise<void> => {
        expect(await made.registry.locate(HOST)).toMatchObject({ nodeId, state: "up", epoch });
        renewals.length = 0;
        await poll(() => renewals.some(([held]) => held.some((one) => one.epoch === epoch)), 5_000, "a renewal", 5);
        for (const node of [made.a, made.b]) await visit(node, download());
      };
      return { ...made, client, late, leadsTo };
    }

    it("gives it back", async () => {
      const { registry, client, late, leadsTo } = await twice();
      await client.up("cat1");
      await poll(() => client.sessions[0]?.isLive, 5_000, "a live session", 2);
      refuseAt(registry, "dog1.test", ["node-2"]);
      expect(await late.up("cat1", "dog1")).toMatchObject({ pipes: [{ status: "refused", name: "dog1" }] });
      await leadsTo("node-1", 3);
      expect(await registry.locate("dog1.test")).toBeNull();
      client.control?.send({ type: "clientDisconnectRequest", clientId: client.clientId, reason: "" });
      await poll(async () => (await registry.locate(HOST)) === null, 5_000, "the name to be free", 5);
    });

    it("gives it back though it had it before that other hub", async () => {
      const { registry, client, late, leadsTo } = await twice();
      await client.up("cat1");
      await late.up("cat1");
      await poll(() => late.sessions[0]?.isLive, 5_000, "a live session", 2);
      refuseAt(registry, "dog1.test", ["node-1"]);
      expect(await client.up("cat1", "dog1")).toMatchObject({ pipes: [{ status: "refused", name: "dog1" }] });
      await leadsTo("node-2", 4);
    });

    it("frees it if it was closed there meanwhile", async () => {
      const { registry, client, late } = await twice();
      await client.up("cat1");
      const { promise: refusal, resolve: refuse } = deferred<void>();
      refuseAt(registry, "dog1.test", ["node-2"], refusal);
      const refused = late.up("cat1", "dog1");
      await poll(async () => (await registry.locate(HOST))?.nodeId === "node-2", 5_000, "the other hub to have it", 2);
      client.control?.send({ type: "closePipesRequest", clientId: client.clientId, names: ["cat1"] });
      await client.control?.next("pipesAreClosedResponse");
      refuse();
      await refused;
      await poll(async () => (await registry.locate(HOST)) === null, 5_000, "the name to be free", 2);
    });

    it("lets its client register a TCP pipe anew, whose port may be another", async () => {
      const { registry, client, late } = await twice({ tcpPorts: { from: 20_000, to: 20_009 } });
      const { ticket } = await client.discover();
      const { closed } = await client.dial(ticket, [{ name: "cat1", protocol: "tcp" }]);
      await client.registered();
      refuseAt(registry, "dog1.test", ["node-2"]);
      await late.up({ name: "cat1", protocol: "tcp" }, "dog1");
      expect(await within(closed, 5_000, "the link's end")).toMatchObject({ code: "DPX_LINK_LOST" });
      expect(await registry.locate(HOST)).toMatchObject({ nodeId: "node-1", state: "away" });
      expect(await client.up({ name: "cat1", protocol: "tcp" })).toMatchObject({ pipes: [{ status: "registered" }] });
    });
  });

  it.each([1, 2] as const)(
    "serves on what it has, over %i links, while every node refuses one of its names",
    async (links) => {
      vi.spyOn(Math, "random").mockReturnValue(0);
      stage.defer(() => vi.restoreAllMocks());
      const { nodes, registry, a } = await cluster({ nodes: 3 });
      const { port } = await startTcpOrigin(stage, (socket) => socket.resume());
      const pipes = ["cat1", "dog1"].map((name) => ({ name, target: `http://127.0.0.1:${port}` }));
      const tunnel = await forward({ server: a.url, pipes, links });
      stage.defer(() => tunnel.close());
      await poll(() => nodes.filter(hasLink).length === links, 5_000, "all links", 5);
      const refused = refuseAt(registry, "dog1.test", ["node-2", "node-3"]);
      const missing = once(tunnel, "pipe");
      a.kill();
      expect(await missing).toMatchObject([{ pipe: { name: "dog1" }, error: { code: "DPX_TCP_PORTS" } }]);
      const before = await registry.locate(HOST);
      refused.length = 0;
      await poll(() => refused.length >= 4, 20_000, "attempts at the others", 5);
      expect(await registry.locate(HOST)).toMatchObject({ nodeId: before?.nodeId, epoch: before?.epoch, state: "up" });
      expect(tunnel.status.state).toBe("up");
      for (const node of nodes.slice(1)) await visit(node, download());
    },
  );

  it("keeps a second link that has lost its control socket to a first one that is refused at the same hub", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.05);
    stage.defer(() => vi.restoreAllMocks());
    const { nodes, registry, a, b } = await cluster();
    const { port } = await startTcpOrigin(stage, (socket) => socket.resume());
    const pipes = ["cat1", "dog1"].map((name) => ({ name, target: `http://127.0.0.1:${port}` }));
    const tunnel = await forward({ server: a.url, pipes, links: 2 });
    stage.defer(() => tunnel.close());
    await poll(() => nodes.every(hasLink), 5_000, "both links", 5);
    // Both hubs have answered: the client knows of its second link by now.
    await tunnel.closePipes(["dog1"], { drainMs: 0 });
    const states: string[] = [];
    tunnel.on("status", ({ state }) => states.push(state));
    const refused = refuseAt(registry, HOST, ["node-2"]);
    a.kill();
    await poll(() => refused.length > 1, 20_000, "two attempts where the second link leads", 5);
    await b.open(HOST, download().handler);
    expect([states, b.hub.statistics.links]).toEqual([[], 1]);
    vi.mocked(registry.register).mockRestore();
    await poll(async () => (await registry.locate(HOST))?.nodeId === "node-2", 20_000, "its registration", 5);
    expect(states).toEqual([]);
  });

  it("keeps the names of a client whose hub is gone while its second link serves, until another hub has them", async () => {
    const { nodes, registry, a, b } = await cluster({ renewEveryMs: 20 });
    const { port } = await startTcpOrigin(stage, (socket) => socket.resume());
    const tunnel = await clientAt(a, port, 2);
    await poll(() => nodes.every(hasLink), 5_000, "both links", 5);
    const refused = refuseAt(registry, HOST, ["node-2"]);
    a.kill();
    const expiry = async (): Promise<number> => {
      const record = await registry.locate(HOST);
      expect([record?.nodeId, record?.state]).toEqual(["node-1", "up"]);
      return record?.expires ?? 0;
    };
    const last = await expiry();
    await poll(async () => (await expiry()) > last, 5_000, "its renewal by the other hub", 5);
    await poll(() => refused.length > 0, 20_000, "an attempt there", 5);
    vi.mocked(registry.register).mockRestore();
    await poll(async () => (await registry.locate(HOST))?.nodeId === "node-2", 20_000, "its registration", 5);
    // What a hub keeps for another one it does not hold itself: nobody is ended because it is lost.
    expect([tunnel.status.state, b.hub.statistics.clients]).toEqual(["up", 1]);
  });

  it("frees the names that it keeps for a hub that is gone when the client says goodbye", async () => {
    const { nodes, registry, a } = await cluster();
    const { port } = await startTcpOrigin(stage, (socket) => socket.resume());
    const tunnel = await clientAt(a, port, 2);
    await poll(() => nodes.every(hasLink), 5_000, "both links", 5);
    refuseAt(registry, HOST, ["node-2"]);
    a.kill();
    await tunnel.close();
    await poll(async () => (await registry.locate(HOST)) === null, 5_000, "the end of the name", 5);
  });

  it("keeps the names of a client that cannot come back to its hub as long as it is served over another one", async () => {
    const { nodes, registry, a, b } = await cluster({ limits: { ...DEFAULT_LIMITS, resumeWindowMs: 30 } });
    const { port } = await startTcpOrigin(stage, (socket) => socket.resume());
    await clientAt(a, port, 2);
    await poll(() => nodes.every(hasLink), 5_000, "both links", 5);
    const refused = refuseAt(registry, HOST, ["node-2"]);
    const stream = await a.open(HOST, download().handler);
    a.clientProxy.isRefusing = true;
    a.clientProxy.cutAll();
    await poll(() => refused.length > 1, 20_000, "two attempts elsewhere", 5);
    expect(await registry.locate(HOST)).toMatchObject({ nodeId: "node-1", state: "up" });
    stream.reset("DPX_CANCELLED");
    b.kill();
    await poll(async () => (await registry.locate(HOST))?.state !== "up", 5_000, "the end of its lease", 5);
  });

  it("keeps no name of a pipe that the client has closed since its hub is gone", async () => {
    const { nodes, registry, a } = await cluster({ renewEveryMs: 20 });
    const { port } = await startTcpOrigin(stage, (socket) => socket.resume());
    const pipes = ["cat1", "dog1"].map((name) => ({ name, target: `http://127.0.0.1:${port}` }));
    const tunnel = await forward({ server: a.url, pipes, links: 2 });
    stage.defer(() => tunnel.close());
    await poll(() => nodes.every(hasLink), 5_000, "both links", 5);
    refuseAt(registry, HOST, ["node-2"]);
    a.kill();
    const renewed = vi.spyOn(registry, "renewAll");
    const last = (): readonly string[] => (renewed.mock.calls.at(-1)?.[0] ?? []).map(({ hostname }) => hostname);
    await poll(() => last().length === 2, 5_000, "the renewal of both", 5);
    await tunnel.closePipes(["dog1"], { drainMs: 0 });
    await poll(() => last().join() === HOST, 5_000, "the renewal of one", 5);
  });

  it("holds the client's links to two hubs, and a visitor at a third sees neither of them go", async () => {
    const { nodes, a, b } = await cluster({ nodes: 3 });
    const c = nodes[2];
    if (c === undefined) throw new Error("there is no third node");
    const size = 64 * MIB;
    const origin = await sender(size);
    const tunnel = await clientAt(a, origin.port, 2);
    const states: string[] = [];
    tunnel.on("status", ({ state }) => states.push(state));
    const second = await poll(() => [b, c].find(hasLink), 5_000, "the second link", 5);
    const third = second === b ? c : b;
    let isKilled = false;
    const made = download((bytes) => {
      if (isKilled || bytes < size / 2) return;
      isKilled = true;
      second.kill();
    });
    await visit(third, made);
    expect(await within(made.done, 20_000, "the download")).toBe(seededSha256(7, size));
    expect([isKilled, states, tunnel.status.state]).toEqual([true, [], "up"]);
  });

  it("keeps the ways over a hub to a node that is slow to take it, and the clients' other visitors go on", async () => {
    const { a, b } = await cluster();
    const size = MIB;
    const origin = await sender(size);
    await clientAt(a, origin.port);
    a.peerProxy.bytesPerSecond = MIB / 2;
    const slow = Array.from({ length: 8 }, () => download());
    for (const made of slow) await visit(b, made);
    const own = download();
    await visit(a, own);
    // Over the same link of the client, to a visitor whose node takes it.
    const sums = [await within(own.done, 10_000, "a download over the client's own hub")];
    expect(slow.some(({ bytes }) => bytes < size)).toBe(true);
    a.peerProxy.bytesPerSecond = 0;
    for (const { done } of slow) sums.push(await within(done, 20_000, "a slow download"));
    expect(new Set(sums)).toEqual(new Set([seededSha256(7, size)]));
    expect([...a.log, ...b.log].filter((line) => line.includes("is gone"))).toEqual([]);
  });

  it("moves what runs over a link that is slow beyond reason to another hub, and loses nothing by it", async () => {
    const { nodes, a } = await cluster({ nodes: 3 });
    const size = 8 * MIB;
    const origin = await sender(size);
    const tunnel = await clientAt(a, origin.port, 2);
    const states: string[] = [];
    tunnel.on("status", ({ state }) => states.push(state));
    await poll(() => nodes.filter(hasLink).length === 2, 5_000, "both links", 5);
    const made = download(() => {
      // At this pace it would take ten minutes.
      a.clientProxy.delayMs = 1_500;
      a.clientProxy.bytesPerSecond = 16_384;
    });
    await visit(a, made);
    expect(await within(made.done, 25_000, "the download")).toBe(seededSha256(7, size));
    expect([states, tunnel.status.state]).toEqual([[], "up"]);
  });

  it("frees a name at both hubs when the client says goodbye", async () => {
    const { registry, a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const tunnel = await clientAt(a, origin.port, 2);
    await poll(() => hasLink(b), 5_000, "the second link", 5);
    await tunnel.close();
    await poll(async () => (await registry.locate(HOST)) === null, 5_000, "the name to be free", 5);
    await poll(() => a.hub.statistics.clients + b.hub.statistics.clients === 0, 5_000, "empty hubs", 5);
  });

  it("frees a name at one hub when its client was ended at the other", async () => {
    const { registry, a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    await clientAt(a, origin.port, 2);
    await poll(() => hasLink(b), 5_000, "the second link", 5);
    await b.hub.kick({ who: "cat1", by: "ana", reason: "", until: null });
    await poll(() => a.hub.statistics.clients === 0, 5_000, "the end at the other hub", 5);
    expect(await registry.locate(HOST)).toBeNull();
  });

  describe("when another client of the same owner comes to another hub", () => {
    /** A hub tells the others at once; without that they would hear of it by the next renewal, which does not come. */
    async function sisters() {
      const told: (readonly string[])[] = [];
      const made = await cluster({
        renewEveryMs: 600_000,
        limits: { ...DEFAULT_LIMITS, maxPipesPerOwner: 2 },
        onReplaced: (clientIds) => {
          told.push(clientIds);
          for (const { hub } of made.nodes) void hub.look(clientIds);
        },
      });
      const older = new HandClient(stage, made.a.url, { key: HAND_KEY });
      await older.up("cat1");
      return { ...made, told, older, newer: new HandClient(stage, made.b.url, { key: HAND_KEY }) };
    }

    it("ends the one that has lost its name at once, and no other", async () => {
      const { a, b, registry, told, older, newer } = await sisters();
      const other = new HandClient(stage, a.url, { key: HAND_KEY });
      await other.up("dog1");
      await newer.up("cat1");
      expect(await older.control?.next("forceDisconnectRequest")).toMatchObject({ code: "DPX_REPLACED" });
      expect(await older.control?.closed).toMatchObject({ code: "DPX_REPLACED" });
      expect(told).toEqual([[older.clientId]]);
      expect([a.hub.statistics.clients, b.hub.statistics.clients]).toEqual([1, 1]);
      expect(await registry.locate(HOST)).toMatchObject({ clientId: newer.clientId, nodeId: "node-2", state: "up" });
    });

    it.each([
      ["one of its names", "DPX_TCP_PORTS"],
      ["all of them, with those that its owner has elsewhere", "DPX_OWNER_LIMIT"],
    ])("does not touch the one that has its name back, because the other was refused %s", async (_what, code) => {
      const { a, registry, told, older, newer } = await sisters();
      await new HandClient(stage, a.url, { key: HAND_KEY }).up("dog1");
      if (code === "DPX_TCP_PORTS") refuseAt(registry, "dog2.test", ["node-2"]);
      expect(await newer.up("cat1", "dog2")).toMatchObject({ pipes: [{ status: "refused", code }] });
      const holder = async (): Promise<string | undefined> => (await registry.locate(HOST))?.clientId;
      await poll(async () => (await holder()) === older.clientId, 5_000, "the name to be given back", 2);
      expect(told).toEqual([]);
      await a.hub.look([older.clientId, newer.clientId]);
      expect(a.hub.statistics.clients).toBe(2);
      expect(older.control?.messages).toEqual([]);
    });

    it("goes on with one that comes itself to another hub", async () => {
      const { b, told, older } = await sisters();
      const moved = new HandClient(stage, b.url, { key: HAND_KEY, clientId: older.clientId });
      await moved.up("cat1");
      expect(told).toEqual([]);
    });
  });

  it("waits at a hub that has registered the client for the link that comes, instead of asking again later", async () => {
    const { a, b, nodes, registry } = await cluster({ nodes: 3, alternative: "node-2" });
    const c = nodes[2];
    if (c === undefined) throw new Error("there is no third node");
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    await clientAt(a, origin.port, 1);
    const made = download();
    const stream = await visit(c, made);
    // Its names are told to all nodes when they are registered, and its owner's pipes are counted before it has a link.
    const { promise: isAsked, resolve: asked } = deferred<void>();
    const list = registry.list.bind(registry);
    vi.spyOn(registry, "list").mockImplementation(async (...args) => {
      await isAsked;
      return list(...args);
    });
    a.kill();
    const isNamed = async (): Promise<boolean> => (await registry.locate(HOST))?.nodeId === "node-2";
    await poll(isNamed, 10_000, "the name at the second node", 2);
    await poll(() => b.hub.statistics.relays > 0, 5_000, "the third node to ask there", 2);
    asked();
    stream.write("served on");
    stream.end();
    await within(made.done, 5_000, "the echo");
  });

  it("drains a hub without a moment in which the client has no link", async () => {
    const { a, b } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const tunnel = await clientAt(a, origin.port, 2);
    const states: string[] = [];
    tunnel.on("status", ({ state }) => states.push(state));
    await poll(() => hasLink(b), 5_000, "the second link", 5);
    await a.hub.drain(1_000);
    a.hub.close();
    const made = download();
    const stream = await visit(b, made);
    stream.write("still here");
    stream.end();
    await within(made.done, 5_000, "the echo");
    expect([states, tunnel.status.state]).toEqual([[], "up"]);
  });

  it("drains a hub until another one has registered its client, whose old link serves on", async () => {
    const { registry, a } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    await clientAt(a, origin.port, 1);
    const made = download();
    const stream = await visit(a, made);
    await a.hub.drain(10_000);
    expect((await registry.locate(HOST))?.nodeId).toBe("node-2");
    expect(a.hub.list(ADMIN)).toEqual([]);
    stream.write("still here");
    stream.end();
    await within(made.done, 5_000, "the echo");
    expect(await a.hub.kick({ who: "cat1", by: "ana", reason: "", until: null })).toHaveLength(1);
  });

  it("finds a client at a hub that drains by no pipe that it has closed since", async () => {
    const { registry, a } = await cluster();
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const pipes = ["cat1", "cat2"].map((name) => ({ target: `http://127.0.0.1:${origin.port}`, name }));
    const tunnel = await forward({ server: a.url, key: newClientKey(), links: 1, pipes });
    stage.defer(() => tunnel.close());
    const made = download();
    const stream = await visit(a, made);
    await a.hub.drain(10_000);
    expect((await registry.locate("cat2.test"))?.nodeId).toBe("node-2");
    await tunnel.closePipes(["cat2"]);
    const kick = (who: string) => a.hub.kick({ who, by: "ana", reason: "", until: null });
    expect(await kick("cat2")).toEqual([]);
    stream.write("still here");
    stream.end();
    await within(made.done, 5_000, "the echo");
    expect(await kick("cat1")).toHaveLength(1);
  });

  it("takes a dialer that a balancer has brought to another node than its control socket", async () => {
    const { a, b } = await cluster({ dialersAt: "node-2", alternative: "none" });
    const size = 16 * MIB;
    const origin = await sender(size);
    const tunnel = await clientAt(a, origin.port);
    const made = download();
    await visit(b, made);
    expect(await within(made.done, 20_000, "the download")).toBe(seededSha256(7, size));
    expect([a.hub.statistics.clients, b.hub.statistics.clients, b.own.unauthenticated]).toEqual([1, 0, 0]);
    await tunnel.close();
    await poll(() => a.hub.statistics.clients === 0, 5_000, "the client's end", 5);
  });

  it("sends a dialer away while the node that its ticket is of is gone, and takes it once that is back", async () => {
    const { a, b } = await cluster({ dialersAt: "node-2", alternative: "none" });
    a.peerProxy.isRefusing = true;
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const coming = clientAt(a, origin.port);
    await poll(() => a.peerProxy.accepted > 0, 5_000, "the dialer to be passed on", 5);
    await poll(() => b.own.unauthenticated === 0, 5_000, "its place in the lobby to be free", 5);
    a.peerProxy.isRefusing = false;
    // It has been told when to come back: else it would not for the first time.
    await coming;
    expect(hasLink(a)).toBe(true);
  });
});
