// What a node finds out before it joins others: whole nodes in this process, on a real redis-server.

import { readFile } from "node:fs/promises";
import { Client } from "undici";
import { describe, expect, it } from "vitest";
import { type ServeOptions, type Server, serve } from "../../src/server/index.ts";
import { HANG_MS } from "../support/bars.ts";
import { createAuthority } from "../support/certificate.ts";
import { startRedis } from "../support/redis.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const ANY = { host: "127.0.0.1", port: 0 };
const SECRETS = ["cluster-secret-0123456789abcdef"];

async function start(redisUrl: string, options: Partial<ServeOptions> = {}): Promise<Server> {
  const cluster = { secrets: SECRETS, redisUrl };
  const server = await serve({
    ...{ listen: ANY, internalListen: ANY, cluster },
    identity: { kind: "no-auth" },
    ...options,
  });
  stage.defer(() => server.close());
  return server;
}

describe("A node that joins others", () => {
  it("does not start where those have accounts and it has none, nor the other way round", async () => {
    const url = `redis://127.0.0.1:${await startRedis(stage)}`;
    const accounts = { kind: "accounts", store: { kind: "redis", url } } as const;
    const first = await start(url, { identity: accounts });
    await expect(start(url)).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot join the cluster: ${first.nodeId} was started with accounts, this node with --no-auth`,
    });
    await first.close();
    const second = await start(url);
    await expect(start(url, { identity: accounts })).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot join the cluster: ${second.nodeId} was started with --no-auth, this node with accounts`,
    });
  });

  it("does not start with another node's address for its own, and says whose it is", async () => {
    const redisUrl = `redis://127.0.0.1:${await startRedis(stage)}`;
    const other = await start(redisUrl);
    const cluster = { secrets: SECRETS, redisUrl, nodeUrl: other.internalUrl };
    await expect(start(redisUrl, { cluster })).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: expect.stringMatching(
        new RegExp(
          `^Cannot be reached at --node-url ${other.internalUrl}: node ${other.nodeId} answers there, and this one is n`,
        ),
      ),
      hint: expect.stringMatching(/own --internal-listen, http:\/\/127\.0\.0\.1:\d+\.$/),
    });
    const stranger = { ...cluster, secrets: ["another-secret-0123456789abcdef"], redisUrl: `${redisUrl}/1` };
    await expect(start(redisUrl, { cluster: stranger })).rejects.toMatchObject({
      message: expect.stringContaining(
        `node ${other.nodeId}, which does not show this cluster's secret, answers there`,
      ),
    });
  });

  it("starts and warns where nobody answers at its address, and is not ready once another one does", async () => {
    const redisUrl = `redis://127.0.0.1:${await startRedis(stage)}`;
    const port = await freePort();
    const warnings: string[] = [];
    const nodeUrl = `http://127.0.0.1:${port}`;
    const node = await start(redisUrl, {
      cluster: { secrets: SECRETS, redisUrl, nodeUrl },
      log: (level, message) => level === "warn" && warnings.push(message),
    });
    const ready = async () => (await fetch(`${node.internalUrl}/readyz`)).text();
    expect(await ready()).toBe("ready\n");
    expect(warnings).toEqual([
      `This node does not find itself at --node-url ${nodeUrl}, where others are to reach it: connect ECONNREFUSED 127.0.0.1:${port}`,
    ]);
    const other = await start(redisUrl, { internalListen: { host: "127.0.0.1", port } });
    const isElsewhere = async () => (await ready()).includes(`node ${other.nodeId} answers there`);
    await poll(isElsewhere, HANG_MS, "the node to see who is at its address", 50);
  });

  it.each(["http", "https"] as const)(
    "finds itself at its address over %s, however often it is asked",
    async (scheme) => {
      const redisUrl = `redis://127.0.0.1:${await startRedis(stage)}`;
      const port = await freePort();
      const authority = await createAuthority(stage);
      const internalTls = { ...(await authority.issue("one")), ca: await readFile(authority.caPath, "utf8") };
      const warnings: string[] = [];
      const { internalUrl } = await start(redisUrl, {
        ...(scheme === "https" ? { internalTls } : {}),
        internalListen: { host: "127.0.0.1", port },
        cluster: { secrets: SECRETS, redisUrl, nodeUrl: `${scheme}://127.0.0.1:${port}` },
        log: (level, message) => level === "warn" && warnings.push(message),
      });
      expect(warnings).toEqual([]);
      // Whoever has no certificate, and whoever names no word that is to be proved.
      const asked = new Client(internalUrl, { connect: { ca: internalTls.ca } });
      stage.defer(() => asked.destroy());
      const answer = await asked.request({ path: "/node-id", method: "GET" });
      expect(answer.statusCode).toBe(scheme === "https" ? 403 : 400);
    },
  );
});
