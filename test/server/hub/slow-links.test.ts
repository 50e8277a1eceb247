// What a client of a cluster does when one of its two links is slow beyond reason: real hubs, real sockets, and round trips
// that the test makes up.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forward, type Tunnel } from "../../../src/client/index.ts";
import { SLOW_LOOKS, SLOW_MS } from "../../../src/client/slow-links.ts";
import { SessionLink, type Stream, type StreamHandler } from "../../../src/protocol/index.ts";
import { useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { type ClusterNode, startCluster } from "./cluster.ts";

const stage = useStage();
const LOOK_MS = 2_000;
let nodes: readonly ClusterNode[];
let tunnel: Tunnel;
let states: string[];
/** The client's links, in the order in which it looked at them: the first one first. */
let looked: SessionLink[];
let slow: SessionLink | null;

beforeEach(async () => {
  // Only what looks from time to time: the looks are the test's.
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  vi.spyOn(Math, "random").mockReturnValue(0.05);
  [looked, slow, states] = [[], null, []];
  vi.spyOn(SessionLink.prototype, "latencyMs", "get").mockImplementation(function (this: SessionLink) {
    if (!looked.includes(this)) looked.push(this);
    return this === slow ? SLOW_MS : 1;
  });
  ({ nodes } = await startCluster(stage, { nodes: 3 }));
  const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
  tunnel = await forward(origin.port, { server: nodeAt(0).url, name: "cat1" });
  stage.defer(() => tunnel.close());
  tunnel.on("status", ({ state }) => states.push(state));
  await poll(() => withLinks().length === 2, 10_000, "both links", 5);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function nodeAt(index: number): ClusterNode {
  const node = nodes[index];
  if (node === undefined) throw new Error(`there is no node ${index}`);
  return node;
}

/** Nodes with a link of the client. */
function withLinks(): readonly ClusterNode[] {
  return nodes.filter(({ hub }) => {
    const { clients, tickets, dialers } = hub.statistics;
    return clients === 1 && tickets === 0 && dialers === 0;
  });
}

async function visit(node: ClusterNode) {
  let text = "";
  let stream: Stream | null = null;
  const handler: StreamHandler = {
    ...{ onAccept() {}, onEnd() {}, onDrain() {}, onReset() {} },
    onData(chunk) {
      text += chunk.toString("latin1");
      stream?.consume(chunk.length);
    },
  };
  const opened = await node.open("cat1.test", handler);
  stream = opened;
  return async (words: string): Promise<void> => {
    const before = text;
    opened.write(Buffer.from(words));
    await poll(() => text === before + words, 10_000, `"${words}" to come back, not "${text}"`, 5);
  };
}

function look(times: number): void {
  for (let time = 0; time < times; time += 1) vi.advanceTimersByTime(LOOK_MS);
}

describe("Tunnel of which a link is slow", () => {
  it("has another hub take the first one's place, and what runs goes on", async () => {
    const [first, second] = withLinks();
    const say = await visit(nodeAt(0));
    const sayHere = second === undefined ? say : await visit(second);
    await say("one ");
    look(1);
    [slow = null] = looked;
    look(SLOW_LOOKS);
    await poll(() => slow?.isOpen === false, 10_000, "the slow link to go", 2);
    // It went only when its names were registered over the other one.
    const third = nodes.find((node) => node !== first && node !== second);
    expect(withLinks()).toContain(third);
    await say("two ");
    await sayHere("three ");
    expect([looked.includes(slow as SessionLink), states, tunnel.status.state]).toEqual([true, [], "up"]);
  });

  it("makes a second one anew, and the first one serves on", async () => {
    const say = await visit(nodeAt(0));
    await say("one ");
    look(1);
    slow = looked[1] ?? null;
    look(SLOW_LOOKS);
    expect(slow?.isOpen).toBe(false);
    await say("two ");
    await poll(() => withLinks().length === 2, 15_000, "another second link", 5);
    await say("three ");
    expect([looked[0]?.isOpen, states, tunnel.status.state]).toEqual([true, [], "up"]);
  });
});
