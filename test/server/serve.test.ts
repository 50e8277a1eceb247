// The whole server in one process: what starts, what is refused, and that a visitor's request gets through and back.

import { X509Certificate } from "node:crypto";
import { request as httpRequest } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { authorizationFor, type ForwardOptions, forward, newClientKey } from "../../src/client/index.ts";
import { DuplexityError } from "../../src/protocol/index.ts";
import { type IdentityOptions, type ServeOptions, type Server, serve } from "../../src/server/index.ts";
import { warnOf } from "../../src/server/node-warnings.ts";
import { resolveServeOptions } from "../../src/server/serve-options.ts";
import { createCertificate } from "../support/certificate.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { closeWithSockets, freePort, listen } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { startTcpOrigin } from "../support/tcp-origin.ts";
import { visit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();
const ANY = { host: "127.0.0.1", port: 0 };
const TOKEN = "a-token-that-is-long-enough";

const accounts = (adminToken: string): IdentityOptions => ({ kind: "accounts", store: { kind: "memory" }, adminToken });

interface Started {
  readonly server: Server;
  readonly port: number;
  readonly url: string;
}

async function start(options: Partial<ServeOptions> = {}): Promise<Started> {
  const server = await serve({ identity: { kind: "no-auth" }, listen: ANY, internalListen: ANY, ...options });
  stage.defer(() => server.close());
  return { server, port: Number(new URL(server.publicUrl).port), url: server.publicUrl };
}

async function open(options: ForwardOptions & { readonly target: string }) {
  const { target, ...more } = options;
  const tunnel = await forward(target, more);
  stage.defer(() => tunnel.close());
  return tunnel;
}

async function refusal(run: Promise<unknown>): Promise<DuplexityError> {
  const error: unknown = await run.then(
    () => new Error("it was accepted"),
    (reason: unknown) => reason,
  );
  if (error instanceof DuplexityError) return error;
  throw error;
}

interface OwnAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One request for the server itself. */
function ask(port: number, path: string, headers: Record<string, string> = {}, method = "GET"): Promise<OwnAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    request.on("error", reject);
    request.end();
  });
}

describe("serve", () => {
  it("carries a visitor's request to a client's target and back", async () => {
    const { server, port, url } = await start();
    const origin = await startHttpOrigin(stage, "hello");
    const tunnel = await open({ target: origin.target, server: url, name: "cat1" });
    expect(tunnel.url).toBe(`http://cat1.localhost:${port}`);
    expect(await visit(port, "cat1.localhost", "/hello")).toMatchObject({ status: 200, body: "hello" });
    const located = await fetch(`${server.internalUrl}/locate?hostname=cat1`);
    expect(await located.json()).toMatchObject({
      record: { clientId: tunnel.clientId, nodeId: server.nodeId, state: "up" },
    });
    await tunnel.close();
    expect(await visit(port, "cat1.localhost", "/hello")).toMatchObject({ status: 404 });
  });

  it("gives a TCP pipe a port of its own, the same one when it comes back, and closes it when it has left", async () => {
    const from = await freePort();
    const { url } = await start({ tcpPorts: { from, to: from } });
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const target = `tcp://127.0.0.1:${origin.port}`;
    for (let round = 0; round < 2; round += 1) {
      const tunnel = await forward(target, { server: url, name: "db1", key: KEY });
      expect(tunnel.url).toBe(`tcp://localhost:${from}`);
      expect(await echoed(from, "ping")).toBe("ping");
      await tunnel.close();
      await poll(() => isRefused(from), 5_000, "the port to close", 5);
    }
  });

  it("refuses a TCP pipe whose port something else holds, and leaves no name behind", async () => {
    const taken = createServer();
    closeWithSockets(stage, taken);
    const from = await listen(taken);
    const { url, server } = await start({ tcpPorts: { from, to: from } });
    const error = await refusal(forward("tcp://127.0.0.1:1", { server: url, name: "db1" }));
    expect([error.code, error.message]).toEqual(["DPX_TCP_PORTS", expect.stringContaining(`${from}-${from}`)]);
    expect((await fetch(`${server.internalUrl}/locate?hostname=db1.localhost`)).status).toBe(404);
  });

  it("passes over a port that something else holds", async () => {
    const taken = createServer();
    closeWithSockets(stage, taken);
    const port = await listen(taken);
    // Of the two, the one that the name would get is the taken one or not: both times it is served.
    const { url } = await start({ tcpPorts: { from: port, to: port + 9 } });
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const names = Array.from({ length: 5 }, (_, index) => `db${index}`);
    const pipes = names.map((name) => ({ name, target: `tcp://127.0.0.1:${origin.port}` }));
    const tunnel = await forward({ server: url, pipes, key: KEY });
    const ports = tunnel.pipes.map((pipe) => Number(new URL(pipe.url).port));
    expect(ports).not.toContain(port);
    expect(new Set(ports).size).toBe(5);
    for (const each of ports) expect(await echoed(each, "ping")).toBe("ping");
  });

  it("gives pipes the public URL's scheme and port, and sends clients there", async () => {
    const port = await freePort();
    const { url } = await start({ listen: { host: "127.0.0.1", port }, publicUrl: `http://localhost:${port}/` });
    expect(url).toBe(`http://localhost:${port}`);
    const origin = await startHttpOrigin(stage);
    const tunnel = await open({ target: origin.target, server: `http://127.0.0.1:${port}`, name: "cat1" });
    expect(tunnel.url).toBe(`http://cat1.localhost:${port}`);
  });

  it("lets clients in by the admin token only, and shows an admin everybody's pipes", async () => {
    const { port, url } = await start({ identity: accounts(`${TOKEN}\n`) });
    const origin = await startHttpOrigin(stage);
    const wrong = await refusal(forward(origin.target, { server: url, name: "cat1", token: `${TOKEN}x` }));
    expect(wrong).toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: expect.stringMatching(/^Cannot let you in: the token /),
    });
    const none = await refusal(forward(origin.target, { server: url, name: "cat1" }));
    expect(none.code).toBe("DPX_AUTH_REQUIRED");
    const tunnel = await open({ target: origin.target, server: url, name: "cat1", token: TOKEN });
    const answer = await ask(port, "/api/clients", { authorization: `Bearer ${TOKEN}` });
    expect(JSON.parse(answer.body)).toEqual({
      v: 1,
      clients: [
        {
          clientId: tunnel.clientId,
          owner: "admin",
          since: expect.stringMatching(/^20\d\d-.*Z$/),
          rttMs: expect.any(Number),
          pipes: [{ hostname: "cat1.localhost", url: tunnel.url, protocol: "http", epoch: 1, state: "up" }],
        },
      ],
    });
  });

  it("stops taking connections when it drains, lets requests finish, and ends", async () => {
    const { server, port, url } = await start();
    const origin = await startHttpOrigin(stage);
    await open({ target: origin.target, server: url, name: "cat1" });
    const opened = origin.nextEventStream();
    const slow = visit(port, "cat1.localhost", "/events");
    const events = await within(opened, 5_000, "the request at the origin");
    expect((await fetch(`${server.internalUrl}/readyz`)).status).toBe(200);
    const drained = server.drain(10_000);
    expect((await fetch(`${server.internalUrl}/readyz`)).status).toBe(503);
    expect(await isRefused(port)).toBe(true);
    events.end("data: the end\n\n");
    expect(await slow).toMatchObject({ status: 200, body: ": open\n\ndata: the end\n\n" });
    await within(drained, 5_000, "the drain");
    await expect(fetch(server.internalUrl)).rejects.toThrow();
  });

  it("closes at once with clients and visitors on it, and twice", async () => {
    const { server, port, url } = await start();
    const origin = await startHttpOrigin(stage);
    const tunnel = await open({ target: origin.target, server: url, name: "cat1" });
    const hanging = visit(port, "cat1.localhost", "/never").catch((error: unknown) => error);
    await poll(() => origin.seen.length > 0, 5_000, "the request at the origin", 2);
    await within(Promise.all([server.close(), server.close()]), 3_000, "the close");
    await within(hanging, 3_000, "the visitor's end");
    expect(await isRefused(port)).toBe(true);
    await tunnel.close();
  });
});

const KEY = newClientKey();

function echoed(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: "127.0.0.1" });
    let answer = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
    socket.on("end", () => resolve(answer));
    socket.on("error", reject);
    socket.end(text);
  });
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("connect", () => {
      socket.destroy();
      resolve(false);
    });
    socket.on("error", () => resolve(true));
  });
}

describe("serve's options", () => {
  const base: ServeOptions = { identity: { kind: "no-auth" }, listen: ANY, internalListen: ANY };
  const admin: ServeOptions = { ...base, identity: accounts(TOKEN) };

  it("asks for the admin token at the registry, on this machine as well", async () => {
    const { server } = await start(admin);
    const locate = (headers: Readonly<Record<string, string>>) =>
      fetch(`${server.internalUrl}/locate?hostname=cat1`, { headers });
    expect((await locate({})).status).toBe(401);
    expect((await locate({ Authorization: `Bearer ${TOKEN}` })).status).toBe(404);
    expect((await fetch(`${server.internalUrl}/healthz`)).status).toBe(200);
  });

  it("warns of an internal listener that other machines reach", async () => {
    const warnings: string[] = [];
    const log: ServeOptions["log"] = (level, message) => level === "warn" && warnings.push(message);
    await start({ ...admin, log });
    expect(warnings).toEqual([]);
    await start({ ...admin, internalListen: { host: "0.0.0.0", port: 0 }, log });
    expect(warnings).toEqual([
      "--internal-listen 0.0.0.0 can be reached from other machines: they can ask for its health, a proxy in front of it for more",
    ]);
  });

  it("warns where passwords come unencrypted, and where a terminator in front is not named", async () => {
    const warnings: string[] = [];
    const log: ServeOptions["log"] = (level, message) => level === "warn" && warnings.push(message);
    const open = { ...admin, listen: { host: "0.0.0.0", port: 0 }, log };
    await start(open);
    expect(warnings.splice(0)).toEqual([expect.stringMatching(/unencrypted: use --tls-cert .* --public-url https/)]);
    await start({ ...open, publicUrl: "https://localhost" });
    expect(warnings.splice(0)).toEqual([]);
    await start({ ...admin, publicUrl: "https://localhost", log });
    expect(warnings.splice(0)).toEqual([expect.stringMatching(/--trust-proxy 127\.0\.0\.1/)]);
    await start({ ...admin, publicUrl: "https://localhost", trustProxy: ["127.0.0.1"], log });
    expect(warnings).toEqual([]);
  });

  it("warns of a public certificate whose time it is not, with the date", async () => {
    const { cert, key } = await createCertificate(stage);
    const { validFrom, validTo } = new X509Certificate(cert);
    const options = resolveServeOptions({ ...admin, tls: { cert, key } });
    const about = {
      origin: new URL("https://localhost"),
      internal: { address: "127.0.0.1" },
      isLocal: { open: true, internal: true },
    };
    const isRefused = "visitors and clients refuse the certificate of --tls-cert: it";
    expect(warnOf(options, about)).toEqual([]);
    expect(warnOf(options, about, Date.parse(validTo) + 1_000)).toEqual([
      `${isRefused} has run out on ${validTo}. Have another one issued.`,
    ]);
    expect(warnOf(options, about, Date.parse(validFrom) - 1_000)).toEqual([
      `${isRefused} is good from ${validFrom} on. Is this machine's clock right?`,
    ]);
  });

  it.each<[string, ServeOptions, RegExp]>([
    [
      "a public listener without auth",
      { ...base, listen: { host: "0.0.0.0", port: 0 } },
      /--no-auth: --listen 0\.0\.0\.0 can be reached/,
    ],
    [
      "an internal one",
      { ...base, internalListen: { host: "::", port: 0 } },
      /--no-auth: --internal-listen :: can be reached/,
    ],
    [
      "a name that may lead anywhere",
      { ...base, listen: { host: "laptop", port: 0 } },
      /--listen laptop can be reached/,
    ],
    ["a short token", { ...base, identity: accounts("short") }, /it has 5 characters, at least 16/],
    ["a token with a space", { ...base, identity: accounts(`${TOKEN} ${TOKEN}`) }, /spaces/],
    ["a bad port", { ...base, listen: { host: "127.0.0.1", port: 65_536 } }, /port 65536 \(--listen\)/],
    ["a bad host", { ...admin, listen: { host: "not a host", port: 0 } }, /Cannot listen on "not a host" \(--listen\)/],
    ["a domain that is an address", { ...base, domain: "127.0.0.1" }, /Cannot use the domain "127\.0\.0\.1"/],
    ["a domain with a port", { ...base, domain: "localhost:8080" }, /Cannot use the domain/],
    ["a public URL with a path", { ...base, publicUrl: "https://a.test/b" }, /nothing behind it/],
    ["a public URL of another kind", { ...base, publicUrl: "ftp://a.test" }, /http:\/\/ or https:\/\//],
    ["a public URL that is none", { ...base, publicUrl: "a.test" }, /not a URL/],
    [
      "a public URL with a password",
      { ...base, publicUrl: "https://a:secret@a.test" },
      /^Cannot use the public URL: it has a user in it$/,
    ],
    [
      "ports the wrong way round",
      { ...base, tcpPorts: { from: 20_001, to: 20_000 } },
      /Cannot use the TCP ports 20001-20000/,
    ],
    ["port 0 in a range", { ...base, tcpPorts: { from: 0, to: 10 } }, /from 1 to 65535/],
    [
      "a range with the listener in it",
      { ...base, listen: { host: "127.0.0.1", port: 8_080 }, tcpPorts: { from: 8_000, to: 9_000 } },
      /listens on 8080/,
    ],
    ["a proxy that is no network", { ...base, trustProxy: ["10.0.0.0/33"] }, /trust the proxy "10\.0\.0\.0\/33"/],
    ["a certificate that is none", { ...base, tls: { cert: "x", key: "y" } }, /^Cannot serve TLS/],
    ["an empty certificate", { ...base, tls: { cert: "", key: "" } }, /^Cannot serve TLS/],
    ["a limit of 0", { ...base, limits: { maxClients: 0 } }, /maxClients = 0: it is a whole number, at least 1/],
    ["a limit that is no number", { ...base, limits: { holdTimeoutMs: Number.NaN } }, /holdTimeoutMs = NaN/],
    ["more pipes than a message holds", { ...base, limits: { maxPipes: 65 } }, /maxPipes = 65.*from 1 to 64/],
  ])("refuse %s", async (_what, options, message) => {
    const error = await refusal(serve(options));
    expect(error.code).toBe("DPX_USAGE");
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("secret");
  });

  it.each(["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "LOCALHOST"])(
    "take %s for loopback",
    async (host) => {
      const server = await serve({ ...base, listen: { host, port: 0 } });
      expect(server.publicUrl).toMatch(/^http:\/\/.+:\d+$/);
      await server.close();
    },
  );

  it.each([
    ["listen", "--listen"],
    ["internalListen", "--internal-listen"],
  ] as const)("say which flag helps when the port of %s is in use", async (field, flag) => {
    const taken = createServer();
    closeWithSockets(stage, taken);
    const port = await listen(taken);
    const error = await refusal(serve({ ...base, [field]: { host: "127.0.0.1", port } }));
    expect([error.code, error.message, error.hint]).toEqual([
      "DPX_LISTEN",
      `Cannot listen on 127.0.0.1:${port}: something else listens there already`,
      `Take another address with ${flag} HOST:PORT; port 0 takes a free one.`,
    ]);
  });
});

describe("The server's own endpoints", () => {
  it("say what this is, and nothing else", async () => {
    const { port } = await start();
    const home = await ask(port, "/");
    expect(home).toMatchObject({
      status: 200,
      headers: { connection: "close", "content-type": "text/plain; charset=utf-8" },
    });
    expect(home.body).toBe("This is a duplexity server: a tunnel. Pipes are at <name>.localhost.\n");
    expect(await ask(port, "/", {}, "HEAD")).toMatchObject({ status: 200, body: "" });
    const wrong = await ask(port, "/", {}, "POST");
    expect(wrong).toMatchObject({ status: 405, headers: { allow: "GET, HEAD", connection: "close" } });
    const nothing = await ask(port, "/api/nothing");
    expect(nothing).toMatchObject({ status: 404, headers: { "duplexity-error": "DPX_REQUEST_INVALID" } });
    expect(JSON.parse(nothing.body)).toMatchObject({ error: { code: "DPX_REQUEST_INVALID" } });
    expect(await ask(port, "/control")).toMatchObject({ status: 426, headers: { upgrade: "websocket" } });
  });

  it("list a client's own pipes to its key, and nobody else's", async () => {
    const { port, url } = await start();
    const origin = await startHttpOrigin(stage);
    await open({ target: origin.target, server: url, name: "cat1", key: KEY });
    const list = async (key: ReturnType<typeof newClientKey>): Promise<unknown> => {
      const authorization = await authorizationFor({ url: new URL("/api/clients", url), key });
      return JSON.parse((await ask(port, "/api/clients?x=1", { authorization })).body);
    };
    expect(await list(KEY)).toMatchObject({ clients: [{ pipes: [{ hostname: "cat1.localhost" }] }] });
    expect(await list(newClientKey())).toEqual({ v: 1, clients: [] });
    const none = await ask(port, "/api/clients");
    expect(none).toMatchObject({ status: 401, headers: { "www-authenticate": 'DPoP algs="EdDSA"' } });
    expect(JSON.parse(none.body)).toMatchObject({ error: { code: "DPX_AUTH_REQUIRED", hint: expect.any(String) } });
  });

  it.each(["cross-site", "/api/clients", "/control?x=/control", "/CONTROL", "//control", "/control/"])(
    "upgrade nothing for %s without a proof",
    async (path) => {
      const { port } = await start();
      const target = path.startsWith("/") ? path : `/${path}`;
      const headers = {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-key": "x",
        "sec-websocket-version": "13",
      };
      const answer = await ask(port, target, headers);
      expect([400, 401]).toContain(answer.status);
      expect(answer.headers.connection).toBe("close");
    },
  );

  it("are not on the internal listener, which says so to clients that come there", async () => {
    const { server } = await start();
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    const answer = await ask(Number(new URL(server.internalUrl).port), "/control", { host: "127.0.0.1", ...headers });
    expect(answer).toMatchObject({ status: 400, headers: { "duplexity-error": "DPX_REQUEST_INVALID" } });
    expect(JSON.parse(answer.body).error).toMatchObject({
      message: "Cannot serve /control: this is the internal listener, for other nodes",
      hint: "Clients and visitors come to --listen.",
    });
  });

  it("refuse a handshake that is not ours with the error's code", async () => {
    const { port, url } = await start();
    const upgrade = async (path: string, more: Record<string, string>): Promise<OwnAnswer> => {
      const authorization = await authorizationFor({ url: new URL(path, url), key: KEY });
      const base = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
      return ask(port, path, { authorization, ...base, ...more });
    };
    expect(await upgrade("/control", { "sec-websocket-version": "12" })).toMatchObject({
      status: 400,
      headers: { "duplexity-error": "DPX_PROTOCOL" },
    });
    expect(
      await upgrade("/control", { "sec-websocket-version": "13", "sec-websocket-protocol": "chat" }),
    ).toMatchObject({
      status: 426,
      headers: { "duplexity-error": "DPX_PROTOCOL_VERSION" },
    });
    expect(await upgrade("/dialer", { "sec-websocket-version": "13" })).toMatchObject({
      status: 401,
      headers: { "duplexity-error": "DPX_TICKET_INVALID" },
    });
  });

  it("answer one request for each connection: what comes behind it may be a pipe's", async () => {
    const { port } = await start();
    const socket = connect({ port, host: "127.0.0.1" });
    let answer = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk));
    const ended = new Promise((resolve) => socket.on("close", resolve));
    const get = `GET / HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`;
    socket.write(`${get}${get}GET / HTTP/1.1\r\nHost: cat1.localhost\r\n\r\n`);
    await within(ended, 5_000, "the close");
    expect(answer.match(/^HTTP\/1\.1 200 /gm)).toHaveLength(1);
    expect(answer).not.toContain("404");
  });
});

describe("A process with a server in it", () => {
  it("ends by itself after close: no timer and no socket is left", async () => {
    const before = process.getActiveResourcesInfo().sort();
    const { server, url } = await start();
    const origin = await startHttpOrigin(stage);
    const tunnel = await forward(origin.target, { server: url, name: "cat1" });
    await tunnel.close();
    await server.close();
    await stage.close();
    const isOurs = (kind: string): boolean => kind === "Timeout" || kind.startsWith("TCP");
    const left = (): string[] => process.getActiveResourcesInfo().filter(isOurs).sort();
    await poll(() => left().length <= before.filter(isOurs).length, 5_000, "what was opened to be closed", 20).catch(
      () => {
        throw new Error(`before: ${before.join(" ")}, after: ${left().join(" ")}`);
      },
    );
  });
});
