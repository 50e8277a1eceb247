// What two whole nodes tell each other of a name that has changed hands within one owner: on a real redis-server.

import { describe, expect, it, vi } from "vitest";
import { LeaseKeeper } from "../../src/server/hub/lease-keeper.ts";
import { type Server, serve } from "../../src/server/index.ts";
import { startRedis } from "../support/redis.ts";
import { useStage } from "../support/stage.ts";
import { HandClient } from "./hub/stage.ts";

const stage = useStage();
const ANY = { host: "127.0.0.1", port: 0 };
const TOKEN = "a-token-that-is-long-enough";
const SECRETS = ["cluster-secret-0123456789abcdef"];

describe("A name that its owner's other client takes at another node", () => {
  it("is the end of the one before at once, and not at the next renewal", async () => {
    const renewals = vi.spyOn(LeaseKeeper.prototype, "renewAll").mockResolvedValue();
    stage.defer(() => renewals.mockRestore());
    const redisUrl = `redis://127.0.0.1:${await startRedis(stage)}`;
    const start = async (): Promise<Server> => {
      const server = await serve({
        ...{ listen: ANY, internalListen: ANY, cluster: { secrets: SECRETS, redisUrl } },
        identity: { kind: "accounts", store: { kind: "redis", url: redisUrl }, adminToken: TOKEN },
      });
      stage.defer(() => server.close());
      return server;
    };
    const [one, two] = [await start(), await start()];
    const older = new HandClient(stage, one.publicUrl, { token: TOKEN });
    await older.up("cat1");
    const newer = new HandClient(stage, two.publicUrl, { token: TOKEN });
    await newer.up("cat1");
    expect(await older.control?.closed).toMatchObject({ code: "DPX_REPLACED" });
    expect(newer.control?.messages).toEqual([]);
  });
});
