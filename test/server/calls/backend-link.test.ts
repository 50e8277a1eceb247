// Calls between nodes over real HTTP: who is believed, what is sent again, and that nothing waits for ever.

import { createServer } from "node:http";
import { connect, createServer as createTcpServer, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { proofOfCall, sessionKeyOf } from "../../../src/server/calls/call-proof.ts";
import { BackendLink, type CallHandlers, type EventSource } from "../../../src/server/calls/index.ts";
import { MAX_CONNECTIONS, MAX_RUNNING, MAX_WAITING_CALLS } from "../../../src/server/calls/limits.ts";
import { barMs } from "../../support/bars.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { closeWithSockets, freePort, listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { deferred, poll } from "../../support/wait.ts";
import { openLink, type RunningBackend, SECRET, startBackend } from "./stage.ts";

const stage = useStage();
const OTHER = "another-secret-0123456789abcdef";
/** What a public listener says. */
const NO_NAME = { error: { code: "DPX_NAME_UNKNOWN", message: "Nobody has it" } };
/** Two attempts of three seconds at most; the rest is a busy machine. */
const BOUND_MS = barMs(8_000);

/** Answers with who called and how often. */
function counting(): { readonly handlers: CallHandlers; readonly count: () => number } {
  let count = 0;
  const handlers: CallHandlers = new Map([
    [
      "locate",
      async (_body, nodeId) => {
        count += 1;
        return { nodeId, count };
      },
    ],
  ]);
  return { handlers, count: () => count };
}

interface Held {
  calls: number;
  running: number;
  most: number;
}

/** `locate` waits for the gate; a beat and a list do not. */
function holding(gate: Promise<void>): { readonly handlers: CallHandlers; readonly held: Held } {
  const held = { calls: 0, running: 0, most: 0 };
  const locate = async (): Promise<string> => {
    held.calls += 1;
    held.running += 1;
    held.most = Math.max(held.most, held.running);
    await gate;
    held.running -= 1;
    return "located";
  };
  const handlers = new Map([
    ["locate", locate],
    ["beat", async () => "beat"],
    ["list", async () => "list"],
  ]);
  return { handlers, held };
}

describe("BackendLink", () => {
  it("calls as the node that it is, many times over few connections", async () => {
    const { handlers, count } = counting();
    const { origin, server } = await startBackend(stage, { handlers });
    let connections = 0;
    server.on("connection", () => {
      connections += 1;
    });
    const link = await openLink(stage, [origin]);
    const answers = await Promise.all(Array.from({ length: 500 }, () => link.call("locate", {})));
    expect(answers).toContainEqual({ nodeId: "node-1", count: 500 });
    expect(count()).toBe(500);
    expect(connections).toBeLessThanOrEqual(MAX_CONNECTIONS);
  });

  it("lets a crowd wait for its turns, before which a beat and other kinds are answered, and does each call once", async () => {
    const gate = deferred<void>();
    const { handlers, held } = holding(gate.promise);
    const { origin } = await startBackend(stage, { handlers });
    const link = await openLink(stage, [origin]);
    const crowd = Promise.all(Array.from({ length: 100 }, () => link.call("locate", {})));
    await poll(() => held.running === MAX_RUNNING.lookup, 5_000, "as many calls as may run", 2);
    expect([await link.call("beat", {}), await link.call("list", {})]).toEqual(["beat", "list"]);
    expect(held.running).toBe(MAX_RUNNING.lookup);
    gate.resolve();
    await crowd;
    expect([held.calls, held.most]).toEqual([100, MAX_RUNNING.lookup]);
  });

  it("refuses at once what comes when as many wait as may, and says that it was not sent", async () => {
    const gate = deferred<void>();
    const { handlers, held } = holding(gate.promise);
    const { origin } = await startBackend(stage, { handlers });
    const link = await openLink(stage, [origin]);
    const count = MAX_RUNNING.lookup + MAX_WAITING_CALLS;
    const crowd = Promise.allSettled(Array.from({ length: count }, () => link.call("locate", {})));
    await expect(link.call("locate", {})).rejects.toMatchObject({
      code: "DPX_STORE",
      message: "Cannot call the backend: 8 calls are under way, and others wait for their turns before this one",
    });
    await link.close();
    gate.resolve();
    const endings = (await crowd).map(({ status }) => status);
    expect(new Set(endings)).toEqual(new Set(["rejected"]));
    expect(held.calls).toBeLessThanOrEqual(MAX_RUNNING.lookup);
  });

  it("lets those who wait go to the next backend when one fails, although others of its calls go on", async () => {
    const gate = deferred<void>();
    let front = -1;
    let stuck = 0;
    const sockets: Socket[] = [];
    const backends: RunningBackend[] = [];
    for (const at of [0, 1]) {
      const locate = async (): Promise<number> => {
        if (front === -1) front = at;
        if (at !== front) return at;
        stuck += 1;
        await gate.promise;
        return at;
      };
      const backend = await startBackend(stage, { handlers: new Map([["locate", locate]]) });
      backend.server.prependListener("request", ({ url, socket }) => {
        if (url === "/node/locate") sockets.push(socket);
      });
      backends.push(backend);
    }
    const link = await openLink(
      stage,
      backends.map(({ origin }) => origin),
    );
    const cut = link.call("locate", {}, { isRepeatable: false });
    await poll(() => stuck === 1, 5_000, "the call that is cut", 2);
    let settled = 0;
    const others = Array.from({ length: MAX_RUNNING.lookup - 1 }, () => link.call("locate", {}));
    for (const one of others) void one.finally(() => (settled += 1)).catch(() => {});
    await poll(() => stuck === MAX_RUNNING.lookup, 5_000, "the calls that are stuck", 2);
    const waiting = Promise.all(Array.from({ length: 50 }, () => link.call("locate", {})));
    sockets[0]?.resetAndDestroy();
    await expect(cut).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(await waiting).toEqual(Array(50).fill(1 - front));
    expect(settled).toBe(0);
    gate.resolve();
    expect(await Promise.all(others)).toEqual(others.map(() => front));
  });

  it("never sends the secret", async () => {
    const { origin, server } = await startBackend(stage, counting());
    let seen = "";
    server.on("connection", (socket) => {
      socket.on("data", (chunk) => {
        seen += chunk.toString("latin1");
      });
    });
    const link = await openLink(stage, [origin]);
    await link.call("locate", { hostname: "cat1.test" });
    expect(seen).toContain("cat1.test");
    expect(seen).not.toContain(SECRET);
  });

  it.each([
    ["the same one", [SECRET], [SECRET], true],
    ["the backend's second one", [SECRET], [OTHER, SECRET], true],
    ["the newest of two, which the backend has too", [OTHER, SECRET], [OTHER, SECRET], true],
    ["another one", [OTHER], [SECRET], false],
  ])("is let in with %s: %s at %s", async (_name, own, theirs, isIn) => {
    const { origin } = await startBackend(stage, { ...counting(), secrets: theirs });
    const opened = openLink(stage, [origin], { secrets: own });
    if (isIn) expect(await (await opened).call("locate", {})).toMatchObject({ nodeId: "node-1" });
    else await expect(opened).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
  });

  it("believes nobody who does not know the secret, whatever they answer", async () => {
    const server = createServer((request, response) => {
      request.resume();
      const isSession = request.url === "/node/session";
      response.setHeader("duplexity-proof", "x".repeat(43));
      response.end(JSON.stringify(isSession ? { nodeId: "backend-1", session: "s", nonce: "n" } : {}));
    });
    closeWithSockets(stage, server);
    const origin = `http://127.0.0.1:${await listen(server)}`;
    await expect(openLink(stage, [origin])).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: `Cannot trust the backend at ${origin}: it does not prove its answer`,
    });
  });

  it("says which address does not answer, and when it does not speak https", async () => {
    const { origin } = await startBackend(stage, counting());
    const secure = origin.replace("http:", "https:");
    await expect(openLink(stage, [secure])).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot reach the backend: ${secure}: what listens there does not speak https`,
      hint: expect.stringContaining("with http or https as it has it"),
    });
  });

  it.each([
    ["200", "<!doctype html>", "DPX_USAGE", "what it answered is not a backend node's"],
    ["200", '{"nodeId":1}', "DPX_USAGE", "what it answered is not a backend node's"],
    ["404", "<!doctype html>", "DPX_USAGE", "it answered 404: its answer is not ours"],
    ["404", JSON.stringify(NO_NAME), "DPX_USAGE", "it answered 404: Nobody has it"],
    ["503", "<!doctype html>", "DPX_STORE", "it answered 503: its answer is not ours"],
  ])(
    "says what answers that is no backend node, and ends at once if no wait helps (%s %s)",
    async (status, body, code, why) => {
      const server = createServer((_request, response) => response.writeHead(Number(status)).end(body));
      closeWithSockets(stage, server);
      const origin = `http://127.0.0.1:${await listen(server)}`;
      await expect(openLink(stage, [origin], { openTimeoutMs: 300 })).rejects.toMatchObject({
        ...{ code, message: `Cannot call the backend at ${origin}: ${why}` },
        hint: "Is that the --internal-listen address of a node with --roles backend, and of this version?",
      });
    },
  );

  it("says of what speaks no HTTP that it does not", async () => {
    const server = createTcpServer((socket) => socket.on("error", () => {}).end("220 mail.test ESMTP\r\n"));
    closeWithSockets(stage, server);
    const origin = `http://127.0.0.1:${await listen(server)}`;
    await expect(openLink(stage, [origin])).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot reach the backend: ${origin}: what listens there does not speak HTTP`,
    });
  });

  it("takes no answer of somebody who does not know the secret for the backend's, and asks the next one", async () => {
    const [first, second] = [await startBackend(stage, counting()), await startBackend(stage, counting())];
    const link = await openLink(stage, [first.origin, second.origin]);
    for (const { server, calls, origin } of [first, second]) {
      await link.call("locate", {});
      calls.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      const port = Number(new URL(origin).port);
      await startBackend(stage, { ...counting(), secrets: [OTHER], port });
      const calling = Promise.all(Array.from({ length: 4 }, () => link.call("locate", {})));
      if (server === first.server) expect(await calling).toHaveLength(4);
      // To a client it is an outage, and no refusal of its own proof.
      else await expect(calling).rejects.toMatchObject({ code: "DPX_STORE" });
    }
  });

  it("tells what the backend refuses a call with, and asks no other one then", async () => {
    let calls = 0;
    const handlers: CallHandlers = new Map([
      [
        "locate",
        async () => {
          calls += 1;
          throw new DuplexityError("DPX_TCP_PORTS", "Cannot register: no port is free", { hint: "Try later." });
        },
      ],
    ]);
    const origins = [await startBackend(stage, { handlers }), await startBackend(stage, { handlers })];
    const link = await openLink(
      stage,
      origins.map(({ origin }) => origin),
    );
    const refused = link.call("locate", {});
    await expect(refused).rejects.toMatchObject({ code: "DPX_TCP_PORTS", hint: "Try later." });
    await expect(link.call("remove", {})).rejects.toMatchObject({ code: "DPX_REQUEST_INVALID" });
    expect(calls).toBe(1);
  });

  it("goes on with a backend that was started anew: its sessions are other ones", async () => {
    const port = await freePort();
    const first = await startBackend(stage, { ...counting(), port });
    const link = await openLink(stage, [first.origin]);
    await link.call("locate", {});
    let gaps = 0;
    link.onGap(() => {
      gaps += 1;
    });
    first.calls.close();
    first.server.closeAllConnections();
    await new Promise((resolve) => first.server.close(resolve));
    await expect(link.call("locate", {})).rejects.toMatchObject({ code: "DPX_STORE" });
    await startBackend(stage, { ...counting(), port, nodeId: "backend-2" });
    expect(await link.call("locate", {})).toMatchObject({ count: 1 });
    await poll(() => gaps === 1, 10_000, "the gap", 5);
    expect(link.isUp).toBe(true);
  });

  it("asks another address when one refuses connections, hangs or drains", async () => {
    const { handlers } = counting();
    const [frozen, draining, good] = [
      await startBackend(stage, { handlers }),
      await startBackend(stage, { handlers }),
      await startBackend(stage, { handlers }),
    ];
    const wire = await FaultProxy.start(stage, Number(new URL(frozen.origin).port));
    const link = await openLink(stage, [wire.url, draining.origin, good.origin, "http://127.0.0.1:1"]);
    wire.blackhole();
    await draining.calls.drain();
    for (let round = 0; round < 20; round += 1) {
      expect(await link.call("locate", {}, { isRepeatable: true })).toMatchObject({ nodeId: "node-1" });
    }
  });

  it("does not send again what may have arrived, unless twice is as good as once", async () => {
    let calls = 0;
    const handlers: CallHandlers = new Map([
      [
        "locate",
        async () => {
          calls += 1;
          for (const { server } of backends) server.closeAllConnections();
          return {};
        },
      ],
    ]);
    const backends = [await startBackend(stage, { handlers }), await startBackend(stage, { handlers })];
    const link = await openLink(
      stage,
      backends.map(({ origin }) => origin),
    );
    await expect(link.call("locate", {}, { isRepeatable: false })).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(calls).toBe(1);
    await expect(link.call("locate", {})).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(calls).toBe(3);
  });

  it("reaches a backend that is there although each connection that it has kept turns out to be dead", async () => {
    const { handlers } = counting();
    const { origin, server } = await startBackend(stage, { handlers });
    const kept = new Set<Socket>();
    const dead = new Set<Socket>();
    server.on("connection", (socket) => kept.add(socket));
    server.prependListener("request", ({ socket }) => {
      if (dead.has(socket)) socket.resetAndDestroy();
    });
    const link = await openLink(stage, [origin]);
    await Promise.all(Array.from({ length: 20 }, () => link.call("locate", {})));
    for (const socket of kept) dead.add(socket);
    expect(dead.size).toBeGreaterThan(3);
    expect(await link.call("locate", {})).toMatchObject({ nodeId: "node-1" });
  });

  it("waits for no backend for ever", async () => {
    const never = deferred<unknown>();
    let calls = 0;
    const hang = (): Promise<unknown> => {
      calls += 1;
      return never.promise;
    };
    const { origin } = await startBackend(stage, { handlers: new Map([["locate", hang]]) });
    const link = await openLink(stage, [origin]);
    const asked = performance.now();
    await expect(link.call("locate", {})).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(performance.now() - asked).toBeLessThan(BOUND_MS);
    expect(calls).toBe(2);
    never.resolve(null);
  });

  it("gives up when no backend is there, and says where it looked", async () => {
    const origin = `http://127.0.0.1:${await freePort()}`;
    const opened = BackendLink.open({
      ...{ origins: [origin], nodeId: "node-1", secrets: [SECRET], openTimeoutMs: 300, warn: () => {} },
    });
    await expect(opened).rejects.toMatchObject({ code: "DPX_STORE", message: expect.stringContaining("ECONNREFUSED") });
  });

  it("hears what is told unasked in order, and anew when its stream has fallen silent", async () => {
    let send: Parameters<EventSource["listen"]>[1] = () => {};
    const events: EventSource = {
      listen: async (_nodeId, tell) => {
        send = tell;
        return () => {};
      },
    };
    const { origin } = await startBackend(stage, { events });
    const wire = await FaultProxy.start(stage, Number(new URL(origin).port));
    const link = await openLink(stage, [wire.url]);
    const heard: unknown[] = [];
    link.onEvent((event) => heard.push(event));
    const sent = Array.from({ length: 1_000 }, (_, index) => ({ type: "changed", key: `key/${index}/ü` }) as const);
    for (const event of sent) send(event);
    await poll(() => heard.length === sent.length, 5_000, "all events", 2);
    expect(heard).toEqual(sent);
    let gaps = 0;
    link.onGap(() => {
      gaps += 1;
    });
    wire.blackhole(true);
    await poll(() => !link.isUp, 10_000, "the silence to be noticed", 10);
    wire.heal();
    await poll(() => gaps > 0, 10_000, "the gap", 10);
  });
});

describe("A backend's stream of events", () => {
  it("is cut for a node that does not read, which looks for itself what it has missed", async () => {
    const sends: Parameters<EventSource["listen"]>[1][] = [];
    let stops = 0;
    const events: EventSource = {
      listen: async (_nodeId, tell) => {
        sends.push(tell);
        return () => {
          stops += 1;
        };
      },
    };
    const { origin, server } = await startBackend(stage, { events });
    const link = await openLink(stage, [origin]);
    let gaps = 0;
    link.onGap(() => {
      gaps += 1;
    });
    // In one turn, in which nobody can read: 32 MB.
    const key = "x".repeat(65_536);
    for (let index = 0; index < 512; index += 1) sends[0]?.({ type: "changed", key });
    await poll(() => stops === 1 && gaps === 1, 10_000, "another stream", 5);
    expect(sends).toHaveLength(2);
    expect(server.listening).toBe(true);
  });

  it("is over when its node goes", async () => {
    let open = 0;
    const events: EventSource = {
      listen: async () => {
        open += 1;
        return () => {
          open -= 1;
        };
      },
    };
    const { origin } = await startBackend(stage, { events });
    const older = await openLink(stage, [origin]);
    await openLink(stage, [origin], { nodeId: "node-2" });
    expect(open).toBe(2);
    await older.close();
    await poll(() => open === 1, 5_000, "its end", 2);
  });
});

describe("CallServer", () => {
  /** One request by hand, as somebody else on the network could send it. */
  function send(
    origin: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string,
  ): Promise<string> {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
    return new Promise((resolve, reject) => {
      const socket = connect(Number(new URL(origin).port), "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
      socket.write(`${head}${lines.join("")}\r\n${body}`);
    });
  }

  async function openSession(origin: string): Promise<{ readonly session: string; readonly key: Buffer }> {
    const answer = await send(origin, "/node/session", {}, JSON.stringify({ nodeId: "node-9", nonce: "nonce-9" }));
    const { nodeId: backendId, session, nonce: backendNonce } = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")));
    return { session, key: sessionKeyOf(SECRET, { backendId, nodeId: "node-9", backendNonce, nodeNonce: "nonce-9" }) };
  }

  function proven(key: Buffer, session: string, number: number, body: string): Record<string, string> {
    const proof = proofOfCall(key, { number, path: "/node/locate", body });
    return { "duplexity-session": session, "duplexity-call": String(number), "duplexity-proof": proof };
  }

  it("takes a call once, with the body and for the path that were proved", async () => {
    const { handlers, count } = counting();
    const { origin } = await startBackend(stage, { handlers });
    const { session, key } = await openSession(origin);
    const headers = proven(key, session, 1, "{}");
    expect(await send(origin, "/node/locate", headers, "{}")).toContain("HTTP/1.1 200");
    expect(await send(origin, "/node/locate", headers, "{}")).toContain("DPX_AUTH_INVALID");
    const second = proven(key, session, 2, "{}");
    expect(await send(origin, "/node/locate", second, '{"a":1}')).toContain("DPX_AUTH_INVALID");
    expect(await send(origin, "/node/register", second, "{}")).toContain("DPX_AUTH_INVALID");
    expect(await send(origin, "/node/locate", { ...second, "duplexity-call": "3" }, "{}")).toContain(
      "DPX_AUTH_INVALID",
    );
    expect(await send(origin, "/node/locate", { ...second, "duplexity-session": "x" }, "{}")).toContain(
      "DPX_SESSION_UNKNOWN",
    );
    expect(count()).toBe(1);
  });

  it("takes calls that have overtaken each other, and none from before all that it remembers", async () => {
    const { handlers } = counting();
    const { origin } = await startBackend(stage, { handlers });
    const { session, key } = await openSession(origin);
    const call = (number: number) => send(origin, "/node/locate", proven(key, session, number, "{}"), "{}");
    for (const number of [5_000, 3_000, 4_999]) expect(await call(number)).toContain("HTTP/1.1 200");
    expect(await call(904)).toContain("DPX_AUTH_INVALID");
  });

  it("is not filled by those who only begin sessions: the ones in use stay", async () => {
    const { handlers } = counting();
    const { origin } = await startBackend(stage, { handlers });
    const { session, key } = await openSession(origin);
    expect(await send(origin, "/node/locate", proven(key, session, 1, "{}"), "{}")).toContain("HTTP/1.1 200");
    for (let index = 0; index < 300; index += 1) await openSession(origin);
    expect(await send(origin, "/node/locate", proven(key, session, 2, "{}"), "{}")).toContain("HTTP/1.1 200");
  });

  it("keeps no more than 16 MiB of those who have proved nothing, and serves the others meanwhile", async () => {
    const { handlers } = counting();
    const { origin } = await startBackend(stage, { handlers });
    const [known, unknown] = [await openSession(origin), await openSession(origin)];
    const isServed = async (number: number, { session, key }: typeof known): Promise<boolean> =>
      (await send(origin, "/node/locate", proven(key, session, number, "{}"), "{}")).includes("HTTP/1.1 200");
    expect(await isServed(1, known)).toBe(true);
    let refused = 0;
    const sockets = Array.from({ length: 20 }, () => {
      const socket = connect(Number(new URL(origin).port), "127.0.0.1");
      socket.on("error", () => {});
      socket.on("data", (chunk) => {
        if (chunk.includes("DPX_LIMIT")) refused += 1;
      });
      const head = ["POST /node/locate HTTP/1.1", "Host: a", "Content-Length: 1048576"];
      const shown = Object.entries(proven(unknown.key, unknown.session, 1, "")).map((pair) => pair.join(": "));
      // All but the last byte.
      socket.write(`${[...head, ...shown].join("\r\n")}\r\n\r\n${"x".repeat(1_048_575)}`);
      return socket;
    });
    await poll(() => refused >= 4, 5_000, "the refusals", 5);
    expect(refused).toBe(4);
    expect(await isServed(2, known)).toBe(true);
    for (const socket of sockets) socket.destroy();
    await poll(() => isServed(1, unknown), 5_000, "room for others");
  });

  it("refuses other methods, bodies without an end, and what is no JSON", async () => {
    const { handlers } = counting();
    const { origin } = await startBackend(stage, { handlers });
    expect((await fetch(`${origin}/node/locate`)).status).toBe(405);
    expect(await send(origin, "/node/session", {}, "x".repeat(1_100_000))).toContain("HTTP/1.1 413");
    expect(await send(origin, "/node/session", {}, "x")).toContain("DPX_REQUEST_INVALID");
    const { session, key } = await openSession(origin);
    expect(await send(origin, "/node/locate", proven(key, session, 1, "x"), "x")).toContain("DPX_REQUEST_INVALID");
  });
});
