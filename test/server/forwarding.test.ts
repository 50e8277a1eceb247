// What a node passes on to another one for a role that it has not: two whole nodes in this process, on a real redis-server.

import { request as httpRequest, IncomingMessage } from "node:http";
import { connect, Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { forwardedField } from "../../src/server/forwarded-proof.ts";
import { type NodeRole, type ServeOptions, type Server, serve } from "../../src/server/index.ts";
import { DEFAULT_LIMITS } from "../../src/server/serve-options.ts";
import { startRedis } from "../support/redis.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const ANY = { host: "127.0.0.1", port: 0 };
const TOKEN = "a-token-that-is-long-enough";
const SECRETS = ["cluster-secret-0123456789abcdef"];
const VISITOR = "203.0.113.7";

async function start(roles: readonly NodeRole[], options: Partial<ServeOptions>): Promise<Server> {
  const server = await serve({ listen: ANY, internalListen: ANY, roles, identity: { kind: "no-auth" }, ...options });
  stage.defer(() => server.close());
  return server;
}

/** A proxy that knows all there is by way of the other one, which has every other role. */
async function startTwo(): Promise<{ readonly proxy: Server; readonly other: Server }> {
  const url = `redis://127.0.0.1:${await startRedis(stage)}`;
  const other = await start(["auth", "backend", "hub"], {
    cluster: { secrets: SECRETS, redisUrl: url },
    identity: { kind: "accounts", store: { kind: "redis", url }, adminToken: TOKEN },
  });
  const proxy = await start(["proxy"], {
    cluster: { secrets: SECRETS, backends: [other.internalUrl] },
    identity: { kind: "accounts", store: { kind: "backend" }, adminToken: TOKEN },
    trustProxy: ["127.0.0.1"],
  });
  return { proxy, other };
}

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

function ask(url: string, { path, method = "GET", headers = {}, body = "" }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = { host: "localhost", ...headers, "content-length": Buffer.byteLength(body) };
    const request = httpRequest(new URL(path, url), { method, headers: sent, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

const ADMIN = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };

async function addressesOf(server: Server): Promise<unknown> {
  const { body } = await ask(server.publicUrl, { path: "/api/audit", headers: ADMIN });
  const { events }: { readonly events: readonly { readonly from: string }[] } = JSON.parse(body);
  return events.map(({ from }) => from);
}

describe("A request for another node's role", () => {
  it("is answered as that node answers it, with its body both ways", async () => {
    const { proxy, other } = await startTwo();
    const wanted = { path: "/api/users", method: "POST", headers: ADMIN };
    const added = await ask(proxy.publicUrl, { ...wanted, body: '{"name":"ben"}' });
    expect(added.status).toBe(200);
    const again = await ask(proxy.publicUrl, { ...wanted, body: '{"name":"ben"}' });
    expect(again.status).toBe(409);
    expect(again.headers["duplexity-error"]).toBe("DPX_EXISTS");
    const list = await ask(other.publicUrl, { path: "/api/users", headers: ADMIN });
    expect(list.body).toContain("ben");
    const stranger = await ask(proxy.publicUrl, { path: "/api/users" });
    expect(stranger.status).toBe(401);
    expect(stranger.headers["www-authenticate"]).toBeDefined();
  });

  it("may have a head as large as any", async () => {
    const { proxy } = await startTwo();
    const headers = { ...ADMIN, cookie: `a=${"x".repeat(DEFAULT_LIMITS.maxHeadBytes - 1_024)}` };
    expect((await ask(proxy.publicUrl, { path: "/api/users", headers })).status).toBe(200);
  });

  it("comes from whom it came to the first node, as its proxy said, and from nobody whom a visitor names", async () => {
    const { proxy } = await startTwo();
    const headers = { ...ADMIN, "x-forwarded-for": VISITOR, "duplexity-forwarded": "eyJhZGRyZXNzIjoiMS4yLjMuNCJ9.x" };
    const wanted = { path: "/api/users", method: "POST", headers, body: '{"name":"ben"}' };
    expect((await ask(proxy.publicUrl, wanted)).status).toBe(200);
    expect(await addressesOf(proxy)).toEqual([VISITOR]);
  });

  it("is taken from no one but a node of the cluster, for the very node and request", async () => {
    const { proxy, other } = await startTwo();
    const path = "/api/users";
    const about = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: path });
    about.headers = { host: "localhost", authorization: ADMIN.authorization };
    const from = { address: VISITOR, sender: VISITOR };
    const fieldFor = (to: string, secret: string): string => forwardedField(from, about, { to, secret });
    const send = async (field: string, asked = path): Promise<number> => (await answerTo(field, asked)).status;
    const answerTo = (field: string, asked: string) => {
      const headers = { authorization: ADMIN.authorization, "duplexity-forwarded": field };
      return ask(other.internalUrl, { path: asked, headers });
    };
    const [secret = ""] = SECRETS;
    expect(await send(fieldFor(other.nodeId, secret))).toBe(200);
    expect(await send(fieldFor(other.nodeId, "another-secret-0123456789"))).toBe(403);
    expect(await send(fieldFor(proxy.nodeId, "another-secret-0123456789"))).toBe(403);
    expect(await send(fieldFor(other.nodeId, secret), "/api/tokens")).toBe(403);
    expect(await send("x")).toBe(403);
    // One that was here before, as long as others have not heard of its end: whoever asks comes again.
    const { status, headers } = await answerTo(fieldFor(proxy.nodeId, secret), path);
    expect([status, headers["duplexity-error"], headers["retry-after"]]).toEqual([503, "DPX_DRAINING", "1"]);
  });

  it("goes over one node at most: 508 at one that has not the role either", async () => {
    const { proxy } = await startTwo();
    const about = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: "/api/users" });
    about.headers = { host: "localhost" };
    const [secret = ""] = SECRETS;
    const field = forwardedField({ address: VISITOR, sender: null }, about, { to: proxy.nodeId, secret });
    const answer = await ask(proxy.internalUrl, { path: "/api/users", headers: { "duplexity-forwarded": field } });
    expect([answer.status, answer.headers["duplexity-error"]]).toEqual([508, "DPX_LOOP"]);
  });

  it("gets 503 with Retry-After while no node for it is there, and is served when one is", async () => {
    const url = `redis://127.0.0.1:${await startRedis(stage)}`;
    const identity = { kind: "accounts", store: { kind: "redis", url }, adminToken: TOKEN } as const;
    const cluster = { secrets: SECRETS, redisUrl: url };
    const proxy = await start(["proxy", "backend"], { cluster, identity });
    for (const path of ["/api/users", "/auth/sign-in"]) {
      const answer = await ask(proxy.publicUrl, { path, headers: ADMIN });
      expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "1"]);
    }
    const upgrade = await new Promise<string>((resolve) => {
      const socket = connect(Number(new URL(proxy.publicUrl).port), "127.0.0.1");
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk.toString();
      });
      socket.on("close", () => resolve(text));
      socket.write(
        "GET /control HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
      );
    });
    expect(upgrade).toMatch(/^HTTP\/1\.1 503 [\s\S]*Retry-After: 1/);
    await start(["hub", "backend"], { cluster, identity });
    await poll(
      async () => (await ask(proxy.publicUrl, { path: "/api/users", headers: ADMIN })).status === 200,
      5_000,
      "the hub to be found",
    );
  });
});
