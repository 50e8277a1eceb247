// `forward()` against the real server, all in this process, real HTTP through both.

import { createHash, randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { createServer, type Server as HttpServer, request } from "node:http";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { BACKOFF_REFUSED_MAX_MS } from "../../src/client/backoff.ts";
import { type ClientKey, type ForwardOptions, forward, newClientKey, type Tunnel } from "../../src/client/index.ts";
import { type ServeOptions, type Server, serve } from "../../src/server/index.ts";
import { createCertificate } from "../support/certificate.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { useStage } from "../support/stage.ts";
import { listen } from "./support.ts";

const stage = useStage();
const ANYWHERE = { host: "127.0.0.1", port: 0 };
let server: Server;
let origin: HttpServer;
let target: number;
let key: ClientKey;

beforeEach(async () => {
  server = await started();
  origin = createServer((incoming, outgoing) => {
    incoming.pipe(outgoing.writeHead(200, { "x-path": incoming.url ?? "" }));
  });
  target = await listen(origin);
  stage.defer(() => origin.close());
  stage.defer(() => origin.closeAllConnections());
  key = newClientKey();
});

async function started(options: Partial<ServeOptions> = {}): Promise<Server> {
  const made = await serve({ identity: { kind: "no-auth" }, listen: ANYWHERE, internalListen: ANYWHERE, ...options });
  stage.defer(() => made.close());
  return made;
}

async function up(options: Partial<ForwardOptions> = {}, to: string | number = target): Promise<Tunnel> {
  const tunnel = await forward(to, { server: server.publicUrl, key, name: "cat1", ...options });
  stage.defer(() => tunnel.close());
  return tunnel;
}

interface Answer {
  readonly status: number;
  readonly error: string | undefined;
  readonly body: string;
}

/** A visitor's request to `hostname`, straight to the server's public port. */
async function visit(hostname: string, body = ""): Promise<Answer> {
  const { port } = new URL(server.publicUrl);
  const visiting = request({
    ...{ host: "127.0.0.1", port, path: "/x", method: body === "" ? "GET" : "POST", agent: false },
    headers: { host: hostname, "content-length": Buffer.byteLength(body) },
  });
  visiting.end(body);
  const [response] = await once(visiting, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const { "duplexity-error": error } = response.headers;
  return { status: response.statusCode, error, body: Buffer.concat(chunks).toString() };
}

describe("forward, with the real server", () => {
  it("carries a visitor's request to the target and back", async () => {
    const tunnel = await up();
    expect(new URL(tunnel.url).hostname).toBe("cat1.localhost");
    expect(await visit("cat1.localhost", "hello")).toMatchObject({ status: 200, body: "hello" });
    expect(tunnel.statistics).toMatchObject({ requests: 1 });
  });

  it("runs any number of tunnels in one process, each with its own stable name", async () => {
    const targets = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const own = createServer((_incoming, outgoing) => outgoing.end(`origin ${index}`));
        stage.defer(() => own.close());
        stage.defer(() => own.closeAllConnections());
        return listen(own);
      }),
    );
    const open = (): Promise<Tunnel[]> =>
      Promise.all(targets.map((port) => forward(port, { server: server.publicUrl, key })));
    const tunnels = await open();
    const urls = tunnels.map(({ url }) => url);
    expect(new Set(urls).size).toBe(20);
    const answers = await Promise.all(tunnels.map(({ pipes }) => visit(pipes[0]?.hostname ?? "")));
    expect(answers.map(({ body }) => body)).toEqual(targets.map((_, index) => `origin ${index}`));
    await Promise.all(tunnels.map((tunnel) => tunnel.close()));
    const again = await open();
    expect(again.map(({ url }) => url)).toEqual(urls);
    await Promise.all(again.map((tunnel) => tunnel.close()));
  });

  it("answers 502 for a target that is down while the tunnel stays up, and serves it when it is back", async () => {
    const down = createServer((_incoming, outgoing) => outgoing.end("back"));
    const port = await listen(down);
    await new Promise((resolve) => down.close(resolve));
    const tunnel = await up({}, port);
    expect(await visit("cat1.localhost")).toMatchObject({ status: 502, error: "DPX_TARGET_REFUSED" });
    expect(tunnel.status.state).toBe("up");
    await new Promise<void>((resolve) => down.listen(port, "127.0.0.1", resolve));
    stage.defer(() => down.close());
    stage.defer(() => down.closeAllConnections());
    expect(await visit("cat1.localhost")).toMatchObject({ status: 200, body: "back" });
  });

  it("reports requests when it is asked to", async () => {
    const tunnel = await up({ reports: true });
    const requested = once(tunnel, "request");
    await visit("cat1.localhost", "hello");
    const [report] = await requested;
    expect(report).toMatchObject({ hostname: "cat1.localhost", method: "POST", path: "/x", status: 200 });
    expect(tunnel.statistics.requests).toBe(1);
  });

  it("is replaced by the same owner elsewhere, and stays away", async () => {
    const first = await up();
    const closed = once(first, "close");
    const second = await up();
    const [error] = await closed;
    expect(error?.code).toBe("DPX_REPLACED");
    expect(second.status.state).toBe("up");
    expect(await visit("cat1.localhost", "x")).toMatchObject({ status: 200 });
  });

  it("is refused a name that another owner holds, with the owner's words", async () => {
    await up();
    await expect(up({ key: newClientKey() })).rejects.toMatchObject({
      code: "DPX_NAME_TAKEN",
      message: expect.stringMatching(/^Cannot register "cat1": key .{8} holds it since /),
    });
  });

  it("frees its names at once when it closes, for the same owner", async () => {
    const tunnel = await up();
    await tunnel.close();
    expect(await visit("cat1.localhost")).toMatchObject({ status: 404 });
    await up();
    expect(await visit("cat1.localhost", "x")).toMatchObject({ status: 200 });
  });

  it("loses no request while the link is cut again and again", async () => {
    const wire = await FaultProxy.start(stage, Number(new URL(server.publicUrl).port));
    const tunnel = await up({ server: wire.url });
    const attempts: number[] = [];
    tunnel.on("status", (status) => {
      if (status.state === "reconnecting") attempts.push(status.attempt);
    });
    for (let round = 0; round < 3; round += 1) {
      const reconnected = once(tunnel, "reconnect");
      const visits = Array.from({ length: 10 }, (_, index) => visit("cat1.localhost", `${round}.${index}`));
      wire.cutAll();
      visits.push(visit("cat1.localhost", "after"));
      const answers = await Promise.all(visits);
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
      await reconnected;
    }
    // The server was there all the time: nobody waits a second time for one cut.
    expect(new Set(attempts)).toEqual(new Set([1]));
  });

  it("serves again after the server was started anew, and holds its names", async () => {
    const tunnel = await up();
    const port = Number(new URL(server.publicUrl).port);
    const waits: number[] = [];
    const refused = new Promise<void>((resolve) => {
      tunnel.on("status", (status) => {
        if (status.state !== "reconnecting" || status.code !== "DPX_SERVER_UNREACHABLE") return;
        waits.push(status.delayMs);
        resolve();
      });
    });
    await server.close();
    await refused;
    const reconnected = once(tunnel, "reconnect");
    server = await started({ listen: { host: "127.0.0.1", port } });
    await reconnected;
    expect(Math.max(...waits)).toBeLessThanOrEqual(BACKOFF_REFUSED_MAX_MS);
    expect(await visit("cat1.localhost", "x")).toMatchObject({ status: 200, body: "x" });
  });

  it("passes a large body each way unharmed while the link is cut", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    stage.defer(() => vi.restoreAllMocks());
    const wire = await FaultProxy.start(stage, Number(new URL(server.publicUrl).port));
    const tunnel = await up({ server: wire.url });
    let cuts = 0;
    tunnel.on("reconnect", () => {
      cuts += 1;
    });
    const stop = wire.cutEvery(150);
    stage.defer(stop);
    const sent = randomBytes(16_777_216).toString("latin1");
    const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
    const answer = await visit("cat1.localhost", sent);
    expect(digest(answer.body)).toBe(digest(sent));
    expect(cuts).toBeGreaterThan(0);
  });

  it("reaches a server over TLS if it trusts the certificate, and says so if not", async () => {
    const { cert, key: certKey } = await createCertificate(stage);
    server = await started({ tls: { cert, key: certKey } });
    expect(server.publicUrl).toMatch(/^https:/);
    await expect(up()).rejects.toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: `Cannot reach ${server.publicUrl}: its certificate is not trusted here (DEPTH_ZERO_SELF_SIGNED_CERT)`,
      hint: "For a private CA: NODE_EXTRA_CA_CERTS=/path/to/ca.pem",
    });
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    stage.defer(() => vi.unstubAllEnvs());
    const tunnel = await up();
    expect(tunnel.url).toMatch(/^https:\/\/cat1\.localhost:/);
  });

  it("drains: the running request is answered, and nothing is left open", async () => {
    let answer = (): void => {};
    const arrived = new Promise<void>((resolve) => {
      origin.removeAllListeners("request");
      origin.on("request", (_incoming, outgoing) => {
        answer = () => outgoing.end("done");
        resolve();
      });
    });
    const tunnel = await up();
    const running = visit("cat1.localhost");
    await arrived;
    const closing = tunnel.close({ drainMs: 10_000 });
    answer();
    expect(await running).toMatchObject({ status: 200, body: "done" });
    await closing;
    expect(tunnel.statistics.openStreams).toBe(0);
  });

  /** Longer than anything here takes. */
  const DRAIN_MS = 40_000;

  it("closes at once when nothing runs, however many connections the server keeps warm", async () => {
    const tunnel = await up();
    await Promise.all(Array.from({ length: 8 }, () => visit("cat1.localhost", "x")));
    expect(tunnel.statistics.openStreams).toBeGreaterThan(0);
    const start = performance.now();
    await tunnel.close({ drainMs: DRAIN_MS });
    // Far below what it would wait for streams that are in use.
    expect(performance.now() - start).toBeLessThan(DRAIN_MS / 2);
  });

  it("drains an answer that speaks now and then to its end", async () => {
    const ticking = ticker(300);
    const tunnel = await up();
    const running = visit("cat1.localhost");
    await ticking.ticked();
    const closing = tunnel.close({ drainMs: DRAIN_MS });
    await ticking.ticked();
    await ticking.ticked();
    expect(tunnel.status.state).toBe("draining");
    expect(tunnel.statistics.openStreams).toBe(1);
    ticking.end();
    expect(await running).toMatchObject({ status: 200, body: "tick tick tick end" });
    await closing;
  });

  it("cuts at the drain's deadline what still runs", async () => {
    const ticking = ticker(100);
    const tunnel = await up();
    const running = visit("cat1.localhost").catch((error: Error) => error);
    await ticking.ticked();
    const start = performance.now();
    await tunnel.close({ drainMs: 500 });
    // Timers count from the turn in which they are set: half of it is more than nothing, and never early.
    expect(performance.now() - start).toBeGreaterThan(250);
    expect(await running).toBeInstanceOf(Error);
  });
});

/** Lets the origin answer with a tick each `everyMs`, as an event stream does. */
function ticker(everyMs: number): { ticked(): Promise<void>; end(): void } {
  const ticks = new EventEmitter();
  let end = (): void => {};
  origin.removeAllListeners("request");
  origin.on("request", (_incoming, outgoing) => {
    const tick = (): void => {
      outgoing.write("tick ");
      ticks.emit("tick");
    };
    const timer = setInterval(tick, everyMs);
    outgoing.on("close", () => clearInterval(timer));
    end = () => outgoing.end("end");
  });
  return {
    ticked: async () => {
      await once(ticks, "tick");
    },
    end: () => end(),
  };
}
