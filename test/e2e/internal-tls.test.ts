// Nodes that show each other certificates: a backend, a hub and a proxy as real processes, one real Redis.

import { readFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Authority, type Certificate, createAuthority } from "../support/certificate.ts";
import { type RunningServer, runDuplexity, startServer, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { startRedis } from "../support/redis.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";

const stage = useStage();

interface Cluster {
  readonly authority: Authority;
  readonly backend: RunningServer;
  start(roles: string, certificate: Certificate): Promise<RunningServer>;
  argsFor(roles: string, certificate: Certificate): readonly string[];
}

async function startCluster(): Promise<Cluster> {
  const authority = await createAuthority(stage);
  const folder = await stage.folder("cluster");
  const [secret, admin] = [join(folder, "cluster-secret"), join(folder, "admin-token")];
  await writeFile(secret, "cluster-secret-0123456789abcdef\n", { mode: 0o600 });
  await writeFile(admin, `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  const redis = `redis://127.0.0.1:${await startRedis(stage)}`;
  const backendPort = await freePort();
  const argsFor = (roles: string, { certPath, keyPath }: Certificate): readonly string[] => [
    ...["--roles", roles, "--cluster-secret-file", secret, "--admin-token-file", admin],
    ...["--internal-tls-cert", certPath, "--internal-tls-key", keyPath, "--internal-tls-ca", authority.caPath],
    ...(roles === "backend" ? ["--redis", redis] : ["--backend", `https://127.0.0.1:${backendPort}`]),
  ];
  const start = async (roles: string, certificate: Certificate): Promise<RunningServer> =>
    startServer(stage, {
      ...{ identity: argsFor(roles, certificate), port: await freePort() },
      internalPort: roles === "backend" ? backendPort : await freePort(),
    });
  return { authority, argsFor, start, backend: await start("backend", await authority.issue("backend")) };
}

/** The status that a request to an internal listener gets, with a certificate or without. */
function statusOf(port: number, path: string, own?: Certificate, agent: Agent | false = false): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, method: path.startsWith("/node") ? "POST" : "GET" };
    const shown = own === undefined ? {} : { cert: own.cert, key: own.key };
    const asked = request({ ...options, ...shown, rejectUnauthorized: false, agent }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.on("error", reject);
    asked.end();
  });
}

describe("Nodes with certificates", () => {
  it("serve as others do: calls, sessions between nodes, and what is passed on go over TLS", async () => {
    const { authority, start } = await startCluster();
    const hub = await start("hub,auth", await authority.issue("hub"));
    const proxy = await start("proxy", await authority.issue("proxy"));
    const origin = await startHttpOrigin(stage, "hello");
    await startUp(stage, proxy.url, [`cat1:${origin.target}`], { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } });
    expect(await visit(proxy.port, "cat1.localhost", "/hello")).toMatchObject({ status: 200, body: "hello" });
    expect((await visit(proxy.port, "localhost", "/auth/.well-known/openid-configuration")).status).toBe(421);
    expect(hub.process.lines[0]?.internal).toBe(`https://127.0.0.1:${hub.internalPort}`);
  });

  it("answer whoever shows no certificate of theirs about their health only", async () => {
    const { authority, backend } = await startCluster();
    const [own, strange] = [await authority.issue("node"), await (await createAuthority(stage)).issue("node")];
    for (const certificate of [undefined, strange]) {
      expect(await statusOf(backend.internalPort, "/readyz", certificate)).toBe(200);
      expect(await statusOf(backend.internalPort, "/node/session", certificate)).toBe(403);
    }
    expect(await statusOf(backend.internalPort, "/node/session", own)).toBe(400);
    // Whose TLS session is resumed has not shown one either.
    const agent = new Agent({ keepAlive: false });
    for (let round = 0; round < 3; round += 1) {
      expect(await statusOf(backend.internalPort, "/node/session", undefined, agent)).toBe(403);
    }
  });

  it("let no node in whose certificate is another authority's", async () => {
    const { argsFor, authority } = await startCluster();
    const other = await createAuthority(stage);
    const strange = await other.issue("hub");
    const args = ["serve", "--json", "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"];
    const own = await runDuplexity(stage, [...args, ...argsFor("hub", strange)]);
    expect(own.status).toBe(2);
    expect(own.lines.at(-1)).toMatchObject({
      ...{ type: "error", code: "DPX_USAGE" },
      message: "Cannot show other nodes this certificate: it is not of the authority of the cluster's nodes",
    });
    // It takes it for one of theirs; they do not.
    const both = join(await stage.folder("both"), "ca.pem");
    await writeFile(both, (await readFile(authority.caPath, "utf8")) + (await readFile(other.caPath, "utf8")));
    const theirs = await runDuplexity(stage, [...args, ...argsFor("hub", strange), "--internal-tls-ca", both]);
    expect(theirs.status).not.toBe(0);
    expect(theirs.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_FORBIDDEN" });
  });
});
