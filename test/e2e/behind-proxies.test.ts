// A server behind the proxies of deploy/proxies, run as they are there but for addresses, ports and certificates: a client
// comes up through them, and visitors get everything through.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type Certificate, createCertificate } from "../support/certificate.ts";
import { type RunningServer, startServer, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { freePort } from "../support/sockets.ts";
import type { Stage } from "../support/stage.ts";
import { useStage } from "../support/stage.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();
const execute = promisify(execFile);
const PROXIES = fileURLToPath(new URL("../../deploy/proxies", import.meta.url));

/** Where visitors come from, so that they can be told from the proxy. */
const VISITOR = "127.0.0.2";

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly server: Pick<RunningServer, "port" | "internalPort">;
  /** Nothing listens there: the node that is down. */
  readonly downPort: number;
  readonly certificate: Certificate;
}

/** Replaces each of `pairs`, which all have to be there: a config that has changed must not pass unread. */
function replaced(text: string, pairs: readonly (readonly [string, string])[]): string {
  let result = text;
  for (const [from, to] of pairs) {
    if (!result.includes(from)) throw new Error(`There is no ${from} in the configuration`);
    result = result.replaceAll(from, to);
  }
  return result;
}

const nodes = ({ server, downPort }: Place) =>
  [
    ["10.0.0.11:8080", `127.0.0.1:${server.port}`],
    ["10.0.0.12:8080", `127.0.0.1:${downPort}`],
  ] as const;

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  const child = spawn(command, args, { stdio: "ignore", env });
  const gone = once(child, "close");
  stage.defer(async () => {
    child.kill("SIGKILL");
    await gone;
  });
}

/** How each is started; resolves when it is told to. */
const STARTS: Readonly<Record<string, (place: Place) => Promise<void>>> = {
  async haproxy(place) {
    const { folder, port, server, certificate } = place;
    const pem = join(folder, "tunnel.pem");
    await writeFile(pem, certificate.cert + certificate.key);
    const config = join(folder, "haproxy.cfg");
    const text = replaced(await readFile(join(PROXIES, "haproxy.cfg"), "utf8"), [
      ...nodes(place),
      ["bind :443", `bind 127.0.0.1:${port}`],
      ["/etc/haproxy/tunnel.pem", pem],
      ["check port 7071", `check port ${server.internalPort}`],
      ["global\n", `global\n  stats socket ${join(folder, "stats")}\n`],
      ["maxconn 50000", "maxconn 200"],
    ]);
    await writeFile(config, text);
    await execute("haproxy", ["-c", "-f", config]);
    run("haproxy", ["-db", "-f", config]);
    // By its own checks, not for want of a ready node.
    await poll(async () => /^nodes,node1,.*,UP,.*,L7OK,200,/m.test(await statsOf(folder)), 10_000, "node1 to be up");
  },
  async nginx(place) {
    const { folder, port, certificate } = place;
    const config = join(folder, "nginx.conf");
    const text = replaced(await readFile(join(PROXIES, "nginx.conf"), "utf8"), [
      ...nodes(place),
      ["listen 443", `listen 127.0.0.1:${port}`],
      ["tunnel.example.com *.tunnel.example.com", "localhost *.localhost"],
      ["/etc/nginx/tunnel.crt", certificate.certPath],
      ["/etc/nginx/tunnel.key", certificate.keyPath],
      ["/run/nginx.pid", join(folder, "pid")],
      ["/var/log/nginx/error.log", join(folder, "error.log")],
      ["worker_processes auto", "worker_processes 1"],
      ["worker_connections 16384", "worker_connections 256"],
    ]);
    await writeFile(config, text);
    await execute("nginx", ["-t", "-p", folder, "-e", join(folder, "error.log"), "-c", config]);
    run("nginx", ["-p", folder, "-e", join(folder, "error.log"), "-c", config, "-g", "daemon off;"]);
  },
  async caddy(place) {
    const { folder, port, server, certificate } = place;
    const config = join(folder, "Caddyfile");
    const text = replaced(await readFile(join(PROXIES, "Caddyfile"), "utf8"), [
      ...nodes(place),
      ["tunnel.example.com, *.tunnel.example.com {", `https://localhost:${port}, https://*.localhost:${port} {`],
      ["/etc/caddy/tunnel.crt", certificate.certPath],
      ["/etc/caddy/tunnel.key", certificate.keyPath],
      ["health_port 7071", `health_port ${server.internalPort}`],
      // All certificates are files here: Caddy must neither make any nor have this machine trust them.
      ["admin off", "admin off\n\tauto_https off\n\tskip_install_trust"],
    ]);
    await writeFile(config, text);
    run("caddy", ["run", "--config", config, "--adapter", "caddyfile"], { ...process.env, HOME: folder });
  },
};

function statsOf(folder: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(join(folder, "stats"));
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("error", () => resolve(""));
    socket.on("end", () => resolve(text));
    socket.write("show stat\n");
  });
}

async function startBehind(name: string, on: Stage) {
  const certificate = await createCertificate(on);
  const port = await freePort();
  const origin = await startHttpOrigin(on, "hello");
  const nodePort = await freePort();
  const server = await startServer(on, {
    port: nodePort,
    args: ["--public-url", `https://localhost:${port}`, "--trust-proxy", "127.0.0.1"],
  });
  await STARTS[name]?.({ folder: await on.folder(name), port, server, downPort: await freePort(), certificate });
  const ca = certificate.cert;
  const visit = (path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const host = `cat1.localhost:${port}`;
      const options = {
        host: "127.0.0.1",
        port,
        path,
        ca,
        servername: "cat1.localhost",
        agent: false as const,
        localAddress: VISITOR,
      };
      request({ ...options, headers: { ...headers, host } }, resolve)
        .on("error", reject)
        .end();
    });
  await poll(
    () =>
      visit("/").then(
        () => true,
        () => false,
      ),
    15_000,
    `${name} to listen`,
  );
  const env = { NODE_EXTRA_CA_CERTS: certificate.certPath };
  await startUp(on, `https://localhost:${port}`, [`cat1:${origin.target}`], { env });
  return { visit, origin, port, ca };
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return text;
}

describe.each(Object.keys(STARTS))("A server behind %s", (name) => {
  it("takes clients and serves visitors: requests, uploads, event streams, WebSockets, with their address", async () => {
    const { visit, origin, port, ca } = await startBehind(name, stage);
    for (let round = 0; round < 5; round += 1) expect(await textOf(await visit("/hello"))).toBe("hello");

    const fields: readonly string[] = JSON.parse(
      await textOf(await visit("/headers", { "X-Forwarded-For": "6.6.6.6" })),
    );
    const field = (wanted: string) =>
      fields.filter((_, index) => index % 2 === 1 && fields[index - 1]?.toLowerCase() === wanted);
    expect(field("x-forwarded-for")).toEqual([`${VISITOR}, 127.0.0.1`]);
    expect(field("x-forwarded-proto")).toEqual(["https"]);
    expect(field("host")).toEqual([`cat1.localhost:${port}`]);

    const opened = origin.nextEventStream();
    const stream = await visit("/events");
    (await opened).write("data: now\n\n");
    let events = "";
    stream.setEncoding("utf8").on("data", (text: string) => (events += text));
    await poll(() => events.includes("data: now"), 10_000, "the event");
    stream.destroy();

    const socket = new WebSocket(`wss://127.0.0.1:${port}/echo`, {
      ...{ ca, servername: "cat1.localhost", headers: { host: `cat1.localhost:${port}` } },
    });
    stage.defer(() => socket.terminate());
    await within(once(socket, "open"), 10_000, "the WebSocket to open");
    socket.send("round trip");
    const [message] = await within(once(socket, "message"), 10_000, "the echo");
    expect(String(message)).toBe("round trip");
  });
});
