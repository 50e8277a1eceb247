// The sockets between nodes: who is let in, and what is refused to those who are.

import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { describe, expect, it } from "vitest";
import {
  dialUpgrade,
  newSessionId,
  Session,
  type SessionLink,
  WebSocketConnection,
} from "../../../src/protocol/index.ts";
import { Peers, type PeersOptions, type RelayRequest } from "../../../src/server/peer/index.ts";
import { dialPeer } from "../../../src/server/peer/peer-handshake.ts";
import { isProof, proofOf } from "../../../src/server/peer/peer-proof.ts";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { poll, within } from "../../support/wait.ts";
import { ManualClock } from "../manual-clock.ts";
import { fakeSessionLink } from "./fake-link.ts";

const stage = useStage();
const SECRET = "the secret of this cluster";
const TARGET = { clientId: "client-0001", ownerId: "ben-id", hostname: "cat1.test", epoch: 4 };
const NEVER = new AbortController().signal;

interface PeerNode {
  readonly peers: Peers;
  readonly url: string;
  readonly requests: RelayRequest[];
  readonly log: string[];
}

async function node(nodeId: string, urls: Map<string, string>, options: Partial<PeersOptions> = {}): Promise<PeerNode> {
  const requests: RelayRequest[] = [];
  const log: string[] = [];
  const peers = new Peers({
    ...{ nodeId, secrets: [SECRET], resumeWindowMs: 1_000 },
    heartbeat: { idleMs: 10_000, timeoutMs: 5_000 },
    nodeUrl: (id) => urls.get(id) ?? null,
    linkOf: (request) => {
      requests.push(request);
      return fakeLink();
    },
    log: (level, message) => log.push(`${level} ${message}`),
    ...options,
  });
  const server = createServer();
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => peers.accept(request, socket, head));
  closeWithSockets(stage, server);
  const url = `http://127.0.0.1:${await listen(server)}`;
  urls.set(nodeId, url);
  stage.defer(() => peers.close());
  return { peers, url, requests, log };
}

function fakeLink(): SessionLink {
  const { fake, link } = fakeSessionLink();
  stage.defer(() => fake.close("DPX_CANCELLED", "The test is over"));
  return link;
}

function session(): Session {
  const made = new Session({ role: "opener", id: newSessionId(), onClose() {} });
  stage.defer(() => made.close("DPX_CANCELLED", "The test is over"));
  return made;
}

async function pair(
  options: Partial<PeersOptions> = {},
): Promise<{ hub: PeerNode; asker: PeerNode; urls: Map<string, string> }> {
  const urls = new Map<string, string>();
  const hub = await node("node-1", urls, options);
  const asker = await node("node-2", urls);
  return { hub, asker, urls };
}

describe("Peers", () => {
  it("opens one socket to a node, however many ask for it, and keeps it", async () => {
    const { hub, asker } = await pair();
    const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => asker.peers.connect("node-1")));
    expect(new Set([first, ...others, await asker.peers.connect("node-1")]).size).toBe(1);
    expect(hub.peers.statistics).toEqual({ incoming: 1, outgoing: 0, relays: 0, queuedBytes: 0 });
    expect(asker.peers.statistics).toEqual({ incoming: 0, outgoing: 1, relays: 0, queuedBytes: 0 });
  });

  it("asks the hub for the client of a session, with the name and the epoch that it knows", async () => {
    const { hub, asker } = await pair();
    const wanted = session();
    const path = await (await asker.peers.connect("node-1")).openPath(wanted, TARGET, NEVER);
    expect(path).toMatchObject({ id: wanted.id, isOpen: true });
    expect(hub.requests).toEqual([{ type: "relayRequest", relay: 1, session: wanted.id, hops: 1, ...TARGET }]);
    expect(hub.peers.statistics.relays).toBe(1);
  });

  it("waits for a client that is between two links, until it comes or nobody waits any more", async () => {
    let link: SessionLink | null = null;
    const { hub, asker } = await pair({ linkOf: () => link });
    const peer = await asker.peers.connect("node-1");
    const given = new AbortController();
    const first = peer.openPath(session(), TARGET, given.signal);
    const second = peer.openPath(session(), TARGET, NEVER);
    given.abort(new Error("Another way was found"));
    await expect(first).rejects.toMatchObject({ message: "Another way was found" });
    link = fakeLink();
    // What the hub was told before it was asked for this one has arrived.
    const third = await peer.openPath(session(), TARGET, NEVER);
    hub.peers.clientLinked(TARGET.clientId);
    expect([(await second).isOpen, third.isOpen, hub.peers.statistics.relays]).toEqual([true, true, 2]);
  });

  it("ends a session's relay when it is asked for another one, and says so: nobody is to wait there for an answer", async () => {
    const { hub, asker } = await pair();
    const peer = await asker.peers.connect("node-1");
    const wanted = session();
    const before = await peer.openPath(wanted, TARGET, NEVER);
    const given = new AbortController();
    const second = peer.openPath(wanted, TARGET, given.signal);
    given.abort(new Error("The client has answered over the first one"));
    await expect(second).rejects.toMatchObject({ message: "The client has answered over the first one" });
    await poll(() => !before.isOpen, 5_000, "the end of the first one");
    expect(hub.peers.statistics.relays).toBe(0);
    const after = await peer.openPath(wanted, TARGET, NEVER);
    expect([after.isOpen, hub.peers.statistics.relays]).toEqual([true, 1]);
  });

  it("asks for nothing in vain: a relay that nobody wants any more would end the one that is there", async () => {
    const { hub, asker } = await pair();
    const peer = await asker.peers.connect("node-1");
    const wanted = session();
    const path = await peer.openPath(wanted, TARGET, NEVER);
    const late = peer.openPath(wanted, TARGET, AbortSignal.abort(new Error("It is over")));
    await expect(late).rejects.toMatchObject({ message: "It is over" });
    await peer.openPath(session(), TARGET, NEVER);
    expect([path.isOpen, hub.peers.statistics.relays]).toEqual([true, 2]);
  });

  it("reaches no node that the cluster does not name, whatever a record says", async () => {
    const { asker } = await pair();
    await expect(asker.peers.connect("node-9")).rejects.toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: "Cannot reach node node-9: it is no node of this cluster",
    });
    await expect(asker.peers.connect("node-2")).rejects.toMatchObject({ code: "DPX_LOOP" });
  });

  it("trusts no other node at the address of one", async () => {
    const { hub, asker, urls } = await pair();
    urls.set("node-3", hub.url);
    await expect(asker.peers.connect("node-3")).rejects.toMatchObject({
      code: "DPX_FORBIDDEN",
      message: "Cannot reach node node-3: node-1 is there",
    });
  });

  it("refuses who does not know the secret, before it says anything but its name", async () => {
    const { hub } = await pair();
    const result = await dialUpgrade(`${hub.url.replace("http", "ws")}/peer`, { headers: {} });
    if (result.status === "refused") throw new Error("refused");
    const connection = new WebSocketConnection(result.socket, {
      ...{ role: "client", mask: "zero", maxMessageBytes: 65_536, maxTextBytes: 65_536, head: result.head },
    });
    const texts: string[] = [];
    const closed = new Promise<[number, string]>((resolve) => {
      connection.handler = {
        onText: (text) => {
          texts.push(text);
          const proof = { type: "peerProof", nodeId: "node-2", nonce: "n", mac: "guessed" };
          connection.sendText(JSON.stringify(proof));
        },
        onBinary() {},
        onDrain() {},
        onClose: (code, reason) => resolve([code, reason]),
      };
    });
    const [code, reason] = await within(closed, 5_000, "the close");
    expect([code, reason.split(":")[0]]).toEqual([4401, "DPX_AUTH_INVALID"]);
    expect(texts.map((text) => JSON.parse(text).type)).toEqual(["peerChallenge"]);
    expect(hub.peers.statistics.incoming).toBe(0);
  });

  it("keeps a bounded number of sockets whose other end has proven nothing, and lets the oldest go for a node", async () => {
    const { hub, asker } = await pair();
    const ended: number[] = [];
    for (let number = 0; number < 256; number += 1) {
      const dialled = await dialUpgrade(`${hub.url.replace("http", "ws")}/peer`, { headers: {} });
      if (dialled.status !== "upgraded") throw new Error("not let in");
      dialled.socket.on("close", () => ended.push(number)).resume();
      stage.defer(() => void dialled.socket.destroy());
    }
    expect(ended).toEqual([]);
    await asker.peers.connect("node-1");
    expect(hub.peers.statistics.incoming).toBe(1);
    await poll(() => ended.length > 0, 5_000, "the oldest to be closed", 5);
    expect(ended).toEqual([0]);
  });

  it("says in a minute that it has refused many, and not of each one", async () => {
    const clock = new ManualClock();
    const { hub } = await pair({ clock });
    const warned = (): readonly string[] => hub.log.filter((line) => line.startsWith("warn"));
    const refuse = async (count: number): Promise<void> => {
      for (let number = 0; number < count; number += 1) {
        const dialled = await dialUpgrade(`${hub.url.replace("http", "ws")}/peer`, { headers: {} });
        if (dialled.status !== "upgraded") throw new Error("not let in");
        const closed = once(dialled.socket.resume(), "close");
        dialled.socket.end();
        await within(closed, 5_000, "the end");
      }
    };
    await refuse(20);
    expect(warned()).toEqual([expect.stringMatching(/^warn A peer was refused: /)]);
    clock.advance(60_000);
    const summary = expect.stringMatching(
      /^warn 19 more refusals of peers in 60 s, the last one: A peer was refused: /,
    );
    expect(warned()).toEqual([expect.anything(), summary]);
    clock.advance(60_000);
    expect(warned()).toHaveLength(2);
    await refuse(1);
    expect(warned()).toHaveLength(3);
  });

  it("passes a session on over one hub and no further", async () => {
    const { hub } = await pair();
    const own = { nodeId: "node-2", secrets: [SECRET] };
    const { connection } = await dialPeer(hub.url, "node-1", own, NEVER);
    const answer = new Promise<unknown>((resolve) => {
      connection.handler = { onText: (text) => resolve(JSON.parse(text)), onBinary() {}, onDrain() {}, onClose() {} };
    });
    connection.sendText(JSON.stringify({ type: "relayRequest", relay: 1, session: 7, hops: 2, ...TARGET }));
    const message = "The session was passed on by another node already";
    expect(await within(answer, 5_000, "the answer")).toEqual({
      ...{ type: "relayEnded", relay: 1, code: "DPX_LOOP", message },
    });
    expect([hub.requests, hub.peers.statistics.relays]).toEqual([[], 0]);
    connection.terminate();
  });

  it.each([
    ["a packet before its proof, five times", Array.from({ length: 5 }, () => Buffer.alloc(20)), "DPX_PROTOCOL"],
    ["what is no message", ["{"], "DPX_MESSAGE_INVALID"],
    ["another message", ['{"type":"relayEnd","relay":1}'], "DPX_PROTOCOL"],
  ])("closes on who sends %s", async (_what, sent, expected) => {
    const { hub } = await pair();
    const result = await dialUpgrade(`${hub.url.replace("http", "ws")}/peer`, { headers: {} });
    if (result.status === "refused") throw new Error("refused");
    const connection = new WebSocketConnection(result.socket, {
      ...{ role: "client", mask: "zero", maxMessageBytes: 65_536, maxTextBytes: 65_536, head: result.head },
    });
    const closed = new Promise<string>((resolve) => {
      connection.handler = { onText() {}, onBinary() {}, onDrain() {}, onClose: (_code, reason) => resolve(reason) };
    });
    for (const part of sent) {
      if (typeof part === "string") connection.sendText(part);
      else connection.sendBinary([Buffer.alloc(14), part], part.length);
    }
    expect((await within(closed, 5_000, "the close")).split(":")[0]).toBe(expected);
  });
});

describe("proofOf", () => {
  const exchange = { hubId: "node-1", nodeId: "node-2", hubNonce: "a", nodeNonce: "b" };

  it("is good for its own role, nodes and nonces only", () => {
    const mac = proofOf(SECRET, "node", exchange);
    expect(isProof(["another secret", SECRET], "node", exchange, mac)).toBe(true);
    expect(isProof(["another secret"], "node", exchange, mac)).toBe(false);
    expect(isProof([SECRET], "hub", exchange, mac)).toBe(false);
    for (const field of ["hubId", "nodeId", "hubNonce", "nodeNonce"] as const) {
      expect(isProof([SECRET], "node", { ...exchange, [field]: "other" }, mac), field).toBe(false);
    }
  });

  it("tells parts apart that read the same one after the other", () => {
    const shifted = { ...exchange, hubId: "node-1n", nodeId: "ode-2" };
    expect(proofOf(SECRET, "node", shifted)).not.toBe(proofOf(SECRET, "node", exchange));
  });
});
