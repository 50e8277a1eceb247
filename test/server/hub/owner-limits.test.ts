// What one owner may have: clients, pipes, visitors' connections; and who gets a name that a thousand want at once.

import { describe, expect, it } from "vitest";
import { forward, newClientKey } from "../../../src/client/index.ts";
import { asDuplexityError } from "../../../src/protocol/index.ts";
import { createAttempts } from "../../../src/server/attempts.ts";
import { MemoryRegistry } from "../../../src/server/backend/index.ts";
import { DEFAULT_LIMITS } from "../../../src/server/serve-options.ts";
import { useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { SECRET, startCluster } from "./cluster.ts";
import { type HubStage, type HubStageOptions, startHub } from "./stage.ts";
import { HANDLER, openRequest, reach, routeTo, upAndLive } from "./steps.ts";
import { TokenBook } from "./token-book.ts";

const stage = useStage();
const ADMIN = new TokenBook().person("ana", { isAdmin: true });

async function start(limits: Partial<typeof DEFAULT_LIMITS>, more: HubStageOptions = {}) {
  const authenticator = new TokenBook();
  for (const name of ["ben", "eva"]) authenticator.add(name, authenticator.person(name));
  return startHub(stage, { authenticator, limits: { ...DEFAULT_LIMITS, ...limits }, ...more });
}

/** Without a stream that would count. */
function isLive(hub: HubStage, hostname: string): boolean {
  return hub.hub
    .list(ADMIN)
    .some(({ pipes }) => pipes.some((pipe) => pipe.hostname === hostname && pipe.state === "up"));
}

describe("maxClientsPerOwner", () => {
  it("refuses one client more, of this owner only; one that vanished does not count", async () => {
    const hub = await start({ maxClientsPerOwner: 2 });
    const ben = () => hub.client({ token: "ben" });
    const first = ben();
    await first.up("cat1");
    await ben().up("cat2");
    const third = ben();
    const control = await third.openControl();
    control.send(third.discovery());
    expect(await control.next("error")).toMatchObject({
      code: "DPX_OWNER_LIMIT",
      message: "Cannot take another client of ben: there are 2",
      hint: expect.stringContaining("--max-clients-per-owner"),
    });
    expect(await control.closed).toMatchObject({ code: "DPX_OWNER_LIMIT" });
    await hub.client({ token: "eva" }).up("dog1");
    first.vanish();
    await poll(() => hub.hub.statistics.controls === 2, 5_000, "its sockets to be gone", 2);
    // Started anew, it takes its name back from what is left of it.
    expect(await ben().up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
  });
});

describe("maxPipesPerOwner", () => {
  it("refuses what goes beyond it over all clients, and counts a name that is taken over once", async () => {
    const hub = await start({ maxPipesPerOwner: 3 });
    const ben = () => hub.client({ token: "ben" });
    await ben().up("cat1", "cat2");
    expect(await ben().up("cat3", "cat4")).toMatchObject({
      pipes: [
        {
          ...{ status: "refused", name: "cat3", code: "DPX_OWNER_LIMIT" },
          message: "Cannot register 2 pipes: ben would have 4, may have 3",
          hint: expect.stringContaining("--max-pipes-per-owner"),
        },
      ],
    });
    expect(hub.hub.statistics.routes).toBe(2);
    await hub.client({ token: "eva" }).up("dog1", "dog2", "dog3");
    expect(await ben().up("cat1", "cat2", "cat3")).toMatchObject({ pipes: [{ status: "registered" }, {}, {}] });
  });

  it("lets a client change its pipes at the limit", async () => {
    const hub = await start({ maxPipesPerOwner: 2 });
    const client = hub.client({ token: "ben" });
    await client.up("cat1", "cat2");
    await client.dial((await client.discover()).ticket, ["cat3", "cat4"]);
    expect(await client.registered()).toMatchObject({ pipes: [{ status: "registered" }, { status: "registered" }] });
  });

  it("counts what the owner has at all nodes of a cluster, and is not passed by those who register at once", async () => {
    const { nodes, registry } = await startCluster(stage, { limits: { ...DEFAULT_LIMITS, maxPipesPerOwner: 3 } });
    const origin = await startTcpOrigin(stage, () => {});
    const key = newClientKey();
    const open = async (index: number, name: string): Promise<string> => {
      const options = { server: nodes[index % 2]?.url ?? "", name, key, links: 1 } as const;
      try {
        const tunnel = await forward(`http://127.0.0.1:${origin.port}`, options);
        stage.defer(() => tunnel.close());
        return "up";
      } catch (error) {
        return asDuplexityError(error).code;
      }
    };
    const answers = [];
    for (let index = 0; index < 5; index += 1) answers.push(await open(index, `cat${index}`));
    expect(answers).toEqual(["up", "up", "up", "DPX_OWNER_LIMIT", "DPX_OWNER_LIMIT"]);
    await Promise.all(Array.from({ length: 6 }, (_, index) => open(index, `dog${index}`)));
    expect(await registry.list(null, 100)).toHaveLength(3);
    // Whoever takes one of them over has no more than before.
    expect(await open(1, "cat0")).toBe("up");
  });

  it("is not passed by clients that register at once", async () => {
    const hub = await start({ maxPipesPerOwner: 5 });
    const clients = Array.from({ length: 10 }, () => hub.client({ token: "ben" }));
    await Promise.all(clients.map((client, index) => client.up(`cat${index}`)));
    expect(hub.hub.statistics.routes).toBeLessThanOrEqual(5);
  });
});

describe("maxConnectionsPerOwner", () => {
  it("refuses visitors of all the owner's pipes with DPX_LIMIT, until some have gone", async () => {
    const hub = await start({ maxConnectionsPerOwner: 3 });
    const open = (hostname: string) =>
      hub.hub.routes.open(routeTo(hub, hostname), openRequest(hostname), { ...HANDLER });
    for (const [token, name] of [
      ["ben", "cat1"],
      ["ben", "cat2"],
      ["eva", "dog1"],
    ] as const) {
      await upAndLive(hub.client({ token }), name);
    }
    // Until each one works: a session is live a moment after its pipes are registered.
    for (const name of ["cat1", "cat2", "dog1"]) {
      await poll(() => isLive(hub, `${name}.test`), 5_000, name, 2);
    }
    const streams = [open("cat1.test"), open("cat2.test"), open("cat2.test")];
    for (const hostname of ["cat1.test", "cat2.test"]) {
      expect(() => open(hostname)).toThrow(
        expect.objectContaining({ code: "DPX_LIMIT", message: `Cannot reach "${hostname}": ben has 3 connections` }),
      );
    }
    open("dog1.test");
    streams[0]?.reset("DPX_VISITOR_GONE");
    open("cat2.test");
  });
});

describe("Attempts", () => {
  it("to upgrade are refused when an owner makes too many, and the next owner's are not", async () => {
    const hub = await start({}, { attempts: createAttempts({ upgrade: { points: 3, durationMs: 60_000 } }) });
    for (let count = 0; count < 3; count += 1) await hub.client({ token: "ben" }).openControl();
    await expect(hub.client({ token: "ben" }).openControl()).rejects.toMatchObject({
      status: 429,
      code: "DPX_RATE_LIMIT",
    });
    await hub.client({ token: "eva" }).openControl();
  });

  it("to register are refused when an owner makes too many", async () => {
    const hub = await start({}, { attempts: createAttempts({ register: { points: 1, durationMs: 60_000 } }) });
    await hub.client({ token: "ben" }).up("cat1");
    const { pipes } = await hub.client({ token: "ben" }).up("cat2");
    expect(pipes).toMatchObject([{ status: "refused", name: "cat2", code: "DPX_RATE_LIMIT" }]);
    expect(await hub.client({ token: "eva" }).up("dog1")).toMatchObject({ pipes: [{ status: "registered" }] });
  });
});

describe("maxPipesPerOwner in a cluster whose index is behind", () => {
  it("counts the pipes that are asked for as well", async () => {
    /** Has not heard yet of what is registered last. */
    class LateIndex extends MemoryRegistry {
      override async countBound(ownerId: string): Promise<number> {
        return (await super.countBound(ownerId)) - 1;
      }
    }
    const cluster = { secrets: [SECRET], nodeUrl: () => null, nodeIds: () => [], lightHubs: () => [] };
    const registry = new LateIndex();
    const hub = await start({ maxPipesPerOwner: 2 }, { registry, cluster: { ...cluster, alternatives: () => [] } });
    const { ownerId, ownerName } = new TokenBook().person("ben");
    const elsewhere = { nodeId: "node-2", clientId: "client-0002", protocol: "http", wantsReports: false } as const;
    for (const hostname of ["cat1.test", "cat2.test"]) {
      await registry.register({ ...elsewhere, hostname, ownerId, ownerName });
    }
    const { pipes } = await hub.client({ token: "ben" }).up("cat3");
    expect(pipes).toMatchObject([{ status: "refused", name: "cat3", code: "DPX_OWNER_LIMIT" }]);
    expect(await hub.client({ token: "eva" }).up("dog1", "dog2")).toMatchObject({
      pipes: [{ status: "registered" }, {}],
    });
  });
});

describe("A name that a thousand clients claim at once", () => {
  it("has exactly one owner", async () => {
    const authenticator = new TokenBook();
    const hub = await startHub(stage, { authenticator, maxUnauthenticated: 4_000 });
    const clients = Array.from({ length: 1_000 }, (_, index) => {
      const token = authenticator.add(`t${index}`, authenticator.person(`user-${index}`));
      return hub.client({ token });
    });
    const tickets = await Promise.all(clients.map((client) => client.discover()));
    await Promise.all(clients.map((client, index) => client.dial(tickets[index]?.ticket ?? "", ["cat1"])));
    const answers = await Promise.all(clients.map((client) => client.registered()));
    const won = answers.flatMap(({ pipes: [pipe] }, index) => (pipe?.status === "registered" ? [index] : []));
    expect(won).toHaveLength(1);
    const codes = answers.map(({ pipes: [pipe] }) => (pipe?.status === "refused" ? pipe.code : pipe?.status));
    expect(new Set(codes)).toEqual(new Set(["registered", "DPX_NAME_TAKEN"]));
    expect(routeTo(hub, "cat1.test").clientId).toBe(clients[won[0] ?? 0]?.clientId);
    await reach(hub, "cat1.test");
  }, 60_000);
});
