// The internal listener's API, over real sockets.

import { createServer, request as httpRequest } from "node:http";
import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { createBackendApi, MemoryRegistry } from "../../../src/server/backend/index.ts";
import { AdminTokenAuthenticator, type Authenticator } from "../../../src/server/identity/index.ts";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";

const stage = useStage();

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

async function start(isReady = true, peer: string | null = null, authenticator: Authenticator | null = null) {
  const registry = new MemoryRegistry();
  stage.defer(() => registry.close());
  const server = createServer(
    createBackendApi({
      ...{ registry, domain: "example.test", authenticator },
      checkReady: async () => {
        if (!isReady) throw new DuplexityError("DPX_DRAINING", "This node takes no new work");
      },
      scrape: async () => ({ contentType: "text/plain; version=0.0.4", text: "up 1\n" }),
    }),
  );
  closeWithSockets(stage, server);
  server.on("connection", (socket) => {
    if (peer !== null) Object.defineProperty(socket, "remoteAddress", { value: peer });
  });
  const port = await listen(server);
  const ask = (path: string, { method = "GET", headers = {}, body }: Ask = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      const type: Record<string, string> = body === undefined ? {} : { "Content-Type": "application/json" };
      const request = httpRequest(
        { host: "127.0.0.1", port, path, method, headers: { ...type, ...headers } },
        (response) => {
          let content = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (content += chunk));
          response.on("end", () => {
            const isJson = response.headers["content-type"]?.startsWith("application/json") === true;
            const parsed: unknown = isJson && content !== "" ? JSON.parse(content) : content;
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed });
          });
        },
      );
      request.on("error", reject);
      request.end(text);
    });
  const post = (path: string, body: unknown): Promise<Answer> => ask(path, { method: "POST", body });
  return { registry, ask, post };
}

const CAT = {
  hostname: "cat1.example.test",
  protocol: "http",
  clientId: "client-a1",
  ownerId: "ben-id",
  ownerName: "ben@ci",
  nodeId: "node-1",
  wantsReports: false,
};

const failed = (status: number, code: string, message: RegExp) => ({
  status,
  headers: expect.objectContaining({ "duplexity-error": code }),
  body: { error: expect.objectContaining({ code, message: expect.stringMatching(message) }) },
});

describe("/register", () => {
  it("registers a name, also a short one in capitals, and answers the record", async () => {
    const { post } = await start();
    expect(await post("/register", { ...CAT, hostname: "CAT1" })).toMatchObject({
      status: 200,
      body: { record: { ...CAT, epoch: 1, state: "up" }, replaced: null },
    });
    expect(await post("/register", { ...CAT, clientId: "client-b1" })).toMatchObject({
      body: { record: { epoch: 2 }, replaced: { clientId: "client-a1" } },
    });
  });

  it("answers 409 with who holds a taken name", async () => {
    const { post } = await start();
    await post("/register", CAT);
    const answer = await post("/register", { ...CAT, ownerId: "eve-id" });
    expect(answer).toMatchObject(
      failed(409, "DPX_NAME_TAKEN", /^Cannot register "cat1.example.test": ben@ci holds it since 20/),
    );
  });

  it.each([
    ["hostname", 1, 400, "DPX_REQUEST_INVALID", /"hostname" is not a string/],
    ["hostname", "-x", 400, "DPX_NAME_INVALID", /hyphen/],
    ["hostname", "www", 403, "DPX_NAME_RESERVED", /reserved/],
    ["hostname", "cat1.other.test", 400, "DPX_NAME_INVALID", /not below/],
    ["protocol", "udp", 400, "DPX_REQUEST_INVALID", /"protocol" is not one of http, tcp/],
    ["clientId", "x", 400, "DPX_REQUEST_INVALID", /"clientId"/],
    ["ownerId", "", 400, "DPX_REQUEST_INVALID", /"ownerId"/],
    ["ownerName", undefined, 400, "DPX_REQUEST_INVALID", /"ownerName"/],
    ["nodeId", "a b", 400, "DPX_REQUEST_INVALID", /"nodeId"/],
    ["wantsReports", 1, 400, "DPX_REQUEST_INVALID", /"wantsReports" is not true or false/],
    ["gate", {}, 400, "DPX_REQUEST_INVALID", /"gate" is not a gate: it asks for nothing/],
    ["gate", { allowCidr: ["x"] }, 400, "DPX_REQUEST_INVALID", /"gate.allowCidr\[0\]" is not a network/],
    ["protocol", "tcp", 503, "DPX_TCP_PORTS", /no TCP ports/],
  ])("refuses a wrong %s (%j) with %i", async (field, value, status, code, message) => {
    const { post, registry } = await start();
    expect(await post("/register", { ...CAT, [field]: value })).toMatchObject(failed(status, code, message));
    expect(registry.size).toBe(0);
  });
});

describe("/locate", () => {
  it("answers GET and POST with the record", async () => {
    const { ask, post } = await start();
    await post("/register", CAT);
    const found = { status: 200, body: { record: { hostname: "cat1.example.test", clientId: "client-a1" } } };
    expect(await ask("/locate?hostname=cat1.example.test")).toMatchObject(found);
    expect(await ask("/locate?hostname=Cat1")).toMatchObject(found);
    expect(await post("/locate", { hostname: "cat1" })).toMatchObject(found);
  });

  it("tells no one who may come in through a gate", async () => {
    const { ask, post, registry } = await start();
    await post("/register", { ...CAT, gate: { allowCidr: ["192.0.2.0/24"] } });
    expect(await registry.locate("cat1.example.test")).toHaveProperty("gate");
    expect(JSON.stringify((await ask("/locate?hostname=cat1")).body)).not.toContain("192.0.2");
  });

  it("answers 404 for a name that nobody has, 400 for none and for a bad one", async () => {
    const { ask } = await start();
    expect(await ask("/locate?hostname=dog1")).toMatchObject(
      failed(404, "DPX_NAME_UNKNOWN", /nobody has registered it/),
    );
    expect(await ask("/locate")).toMatchObject(failed(400, "DPX_REQUEST_INVALID", /no hostname/));
    expect(await ask("/locate?hostname=..")).toMatchObject(failed(400, "DPX_NAME_INVALID", /empty part/));
  });
});

describe("/remove", () => {
  it("gives a name up for the client that holds it at that epoch only", async () => {
    const { post, ask } = await start();
    await post("/register", CAT);
    const wanted = { hostname: "cat1", clientId: "client-a1", epoch: 1, reason: "left" };
    expect(await post("/remove", { ...wanted, epoch: 7 })).toMatchObject({ status: 200, body: { removed: false } });
    expect(await post("/remove", wanted)).toMatchObject({ status: 200, body: { removed: true } });
    expect(await ask("/locate?hostname=cat1")).toMatchObject({ status: 404 });
    expect(await post("/remove", { ...wanted, reason: "bored" })).toMatchObject({ status: 400 });
    expect(await post("/remove", { ...wanted, epoch: "1" })).toMatchObject({ status: 400 });
  });
});

describe("The internal API", () => {
  it("says whether it lives and whether it is ready", async () => {
    const up = await start();
    expect(await up.ask("/healthz")).toMatchObject({ status: 200, body: "ok\n" });
    expect(await up.ask("/readyz")).toMatchObject({ status: 200, body: "ready\n" });
    expect((await up.ask("/healthz", { method: "HEAD" })).status).toBe(200);
    const draining = await start(false);
    expect(await draining.ask("/healthz")).toMatchObject({ status: 200 });
    expect(await draining.ask("/readyz")).toMatchObject(failed(503, "DPX_DRAINING", /no new work/));
  });

  it("answers 404, 405, 413 and 415 for what does not fit", async () => {
    const { ask, post } = await start();
    expect(await ask("/nothing")).toMatchObject(failed(404, "DPX_REQUEST_INVALID", /no \/nothing here/));
    const wrongMethod = await ask("/register");
    expect(wrongMethod).toMatchObject(failed(405, "DPX_REQUEST_INVALID", /only POST/));
    expect(wrongMethod.headers.allow).toBe("POST");
    expect((await ask("/locate", { method: "DELETE" })).status).toBe(405);
    const form = { method: "POST", headers: { "Content-Type": "text/plain" }, body: JSON.stringify(CAT) };
    expect(await ask("/register", form)).toMatchObject(failed(415, "DPX_REQUEST_INVALID", /text\/plain/));
    const large = { ...CAT, padding: "x".repeat(20_000) };
    expect(await post("/register", large)).toMatchObject(failed(413, "DPX_REQUEST_INVALID", /16384 bytes/));
  });

  it.each(["", "{", "[]", "null", '"x"', '{"__proto__":{"hostname":"x"}}'])("refuses the body %j", async (body) => {
    const { ask } = await start();
    const headers = { "Content-Type": "application/json; charset=utf-8" };
    expect(await ask("/register", { method: "POST", headers, body })).toMatchObject(
      failed(400, "DPX_REQUEST_INVALID", /is not/),
    );
  });

  it.each(["evil.example.com", "cat1.example.test", "127.0.0.1.evil.com", "localhost.evil.com", "x"])(
    "serves no page that calls it %s (DNS rebinding)",
    async (host) => {
      const { ask } = await start();
      expect(await ask("/locate?hostname=cat1", { headers: { Host: host } })).toMatchObject(
        failed(421, "DPX_REQUEST_INVALID", /is not a name of this listener/),
      );
    },
  );

  it.each(["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7"])(
    "tells %s, which is another machine, its health and nothing of the registry",
    async (peer) => {
      const { ask, post, registry } = await start(true, peer);
      for (const path of ["/register", "/remove", "/locate"]) {
        expect(await post(path, CAT)).toMatchObject(failed(403, "DPX_FORBIDDEN", /only this machine may ask/));
      }
      expect(registry.size).toBe(0);
      expect(await ask("/healthz")).toMatchObject({ status: 200 });
      expect(await ask("/readyz")).toMatchObject({ status: 200 });
    },
  );

  it.each(["127.0.0.1", "::1", "::ffff:127.0.0.1"])("takes %s for this machine", async (peer) => {
    const { post } = await start(true, peer);
    expect(await post("/register", CAT)).toMatchObject({ status: 200 });
  });

  it.each(["localhost", "LOCALHOST:7071", "127.0.0.1:7071", "[::1]:7071", "10.1.2.3"])(
    "serves the Host %s",
    async (host) => {
      const { ask } = await start();
      const answer = await ask("/healthz", { headers: { Host: host } });
      expect(answer.status).toBe(200);
      expect(Object.keys(answer.headers).some((name) => name.startsWith("access-control"))).toBe(false);
    },
  );
});

describe("a server with a token", () => {
  const TOKEN = "a-token-of-a-good-length";
  const guarded = () => start(true, null, new AdminTokenAuthenticator(TOKEN));

  it.each([
    ["/register", CAT],
    ["/locate", { hostname: "cat1" }],
    ["/remove", { hostname: "cat1", clientId: "client-a1", epoch: 1, reason: "left" }],
  ])("asks for it at %s, also on this machine", async (path, body) => {
    const { registry, ask } = await guarded();
    await registry.register({ ...CAT, protocol: "http" });
    const post = (headers: Readonly<Record<string, string>>) => ask(path, { method: "POST", headers, body });
    const required = await post({});
    expect(required).toMatchObject(failed(401, "DPX_AUTH_REQUIRED", /asks for its token/));
    expect(required.headers["www-authenticate"]).toBe('Bearer realm="duplexity"');
    expect(await post({ Authorization: "Bearer another-token-of-that-length" })).toMatchObject(
      failed(401, "DPX_AUTH_INVALID", /not this server's/),
    );
    expect(await registry.locate("cat1.example.test")).toMatchObject({ epoch: 1, state: "up" });
    expect((await post({ Authorization: `Bearer ${TOKEN}` })).status).toBe(200);
  });

  it("tells its health without one", async () => {
    const { ask } = await guarded();
    for (const path of ["/healthz", "/readyz"]) expect((await ask(path)).status).toBe(200);
  });
});
