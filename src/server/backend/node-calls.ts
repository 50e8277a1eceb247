// What nodes without the backend's role can have done here: the steps of the registry, envelopes of topics, lines of the
// board, and word of what changes. Who they are has been proved.

import { fields as checked } from "../../protocol/index.ts";
import type { BackendEvent, CallHandler, CallName, EventSource } from "../calls/index.ts";
import { forEachAtMost } from "./at-most.ts";
import type { Addressee } from "./node-topics.ts";
import { readCount, readRegistration } from "./record-fields.ts";
import type { Holding, Registry, RegistryRecord } from "./registry.ts";
import { readLine } from "./remote-board.ts";
import { MAX_NAMES_IN_CALL } from "./remote-registry.ts";
import { MAX_NODES, type PresenceBoard } from "./shared-presence.ts";
import { isTopicName } from "./topic-codec.ts";
import type { TopicGuests } from "./topic-guests.ts";
import { MAX_TOPIC_MESSAGE_BYTES, type TopicName } from "./topics.ts";

export interface NodeCallsOptions {
  readonly registry: Registry;
  readonly topics: TopicGuests;
  readonly board: PresenceBoard;
}

/** Records that a list shows. */
const MAX_LISTED = 10_000;
/** Names of one call that are looked up at once. */
const MAX_LOOKUPS = 20;

/** The calls of the registry, the topics and the board. */
export function createNodeCalls({ registry, topics, board }: NodeCallsOptions): ReadonlyMap<CallName, CallHandler> {
  return new Map<CallName, CallHandler>([
    ["register", async (body) => registry.register(readRegistration(body))],
    [
      "renew",
      async (body) => {
        const held = checked.field(body, "held", checked.arrayReader(readHolding, 0, MAX_NAMES_IN_CALL));
        const lost = new Set(await registry.renewAll(held));
        return { lost: [...held.keys()].filter((index) => held.slice(index, index + 1).some((one) => lost.has(one))) };
      },
    ],
    [
      "locate",
      async (body) => {
        const hostnames = checked.field(body, "hostnames", checked.arrayReader(checked.readName, 0, MAX_NAMES_IN_CALL));
        const records: (RegistryRecord | null)[] = [];
        await forEachAtMost(MAX_LOOKUPS, hostnames, async (hostname, index) => {
          records[index] = await registry.locate(hostname);
        });
        return { records };
      },
    ],
    [
      "remove",
      async (body) => {
        const { hostname, clientId, epoch } = readHolding(body.value, body.path);
        const reason = checked.field(body, "reason", checked.oneOfReader(["left", "lost"]));
        const removed = await registry.remove(hostname, clientId, epoch, reason);
        return { removed, record: removed ? await registry.locate(hostname) : null };
      },
    ],
    [
      "list",
      async (body) => {
        const ownerId = checked.field(body, "ownerId", (value, path) =>
          value === null ? null : checked.readWord(value, path),
        );
        const limit = checked.field(body, "limit", checked.integerReader(0, MAX_LISTED));
        return { records: await registry.list(ownerId, limit) };
      },
    ],
    ["count", async (body) => ({ count: await registry.countBound(checked.field(body, "ownerId", checked.readWord)) })],
    [
      "tell",
      async (body) => topics.send(checked.field(body, "to", readAddressee), checked.field(body, "text", readEnvelope)),
    ],
    [
      "beat",
      async (body, nodeId) => {
        const { there, left } = await board.write(nodeId, checked.field(body, "line", readLine));
        return { there: there.slice(0, MAX_NODES), left: left.slice(0, MAX_NODES) };
      },
    ],
  ]);
}

export interface NodeEventsOptions {
  readonly registry: Registry;
  readonly topics: TopicGuests;
  /** Those whose messages are passed on. @default "websockets": what becomes of routes is told by the registry itself */
  readonly forwards?: readonly TopicName[];
  /** Calls `listener` with each key of the store that changes. */
  readonly watchStore: (listener: (key: string) => void) => () => void;
}

/** What nodes that listen are told. */
export function createNodeEvents(options: NodeEventsOptions): EventSource {
  const { registry, topics, watchStore, forwards = ["websockets"] } = options;
  return {
    async listen(nodeId: string, send: (event: BackendEvent) => void): Promise<() => void> {
      const endings = [
        await topics.hear(nodeId, (topic, text) => {
          if (topic === null || forwards.includes(topic)) send({ type: "message", topic, text });
        }),
        registry.watch((hostname, record) => send({ type: "route", hostname, record })),
        topics.onGap(() => send({ type: "gap" })),
        watchStore((key) => send({ type: "changed", key })),
      ];
      return () => {
        for (const end of endings.splice(0)) end();
      };
    },
  };
}

function readHolding(value: unknown, path: string): Holding {
  const holding = checked.readObject(value, path);
  return {
    hostname: checked.field(holding, "hostname", checked.readName),
    clientId: checked.field(holding, "clientId", checked.readClientId),
    epoch: checked.field(holding, "epoch", readCount),
  };
}

function readAddressee(value: unknown, path: string): Addressee {
  const to = checked.readObject(value, path);
  const { nodeId } = checked.optionalField(to, "nodeId", checked.readWord);
  if (nodeId !== undefined) return { nodeId };
  const topic = checked.field(to, "topic", checked.readWord);
  return isTopicName(topic) ? { topic } : checked.invalid(path, "a topic or a node");
}

function readEnvelope(value: unknown, path: string): string {
  if (typeof value === "string" && Buffer.byteLength(value) <= MAX_TOPIC_MESSAGE_BYTES) return value;
  return checked.invalid(path, `text of at most ${MAX_TOPIC_MESSAGE_BYTES} bytes`);
}
