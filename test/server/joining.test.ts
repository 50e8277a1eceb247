// What a node finds out before it joins others: whole nodes in this process, on a real redis-server.

import { describe, expect, it } from "vitest";
import { type ServeOptions, type Server, serve } from "../../src/server/index.ts";
import { startRedis } from "../support/redis.ts";
import { useStage } from "../support/stage.ts";

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
});
