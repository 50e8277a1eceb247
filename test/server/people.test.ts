// What a server knows of people, when not all of it can be opened.

import { describe, expect, it } from "vitest";
import { FailureCount } from "../../src/server/operate/index.ts";
import { openPeople } from "../../src/server/people.ts";
import { redisCli, startRedis } from "../support/redis.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

describe("openPeople", () => {
  it("leaves no store open when its last step fails", async () => {
    const port = await startRedis(stage);
    // All but the secret, which is asked for at the end.
    const keys = ["index", "ends", "entry:account/*", "entry:token/*", "entry:ban/*"];
    const rules = keys.map((key) => `~duplexity:{store}:${key}`);
    await redisCli(port, ["ACL", "SETUSER", "limited", "on", ">open-sesame", "+@all", "&*", ...rules]);
    const url = `redis://limited:open-sesame@127.0.0.1:${port}`;
    const opening = openPeople(
      { kind: "accounts", store: { kind: "redis", url } },
      {
        ...{ warn: () => {}, storeFailures: new FailureCount(), link: null },
      },
    );
    await expect(opening).rejects.toMatchObject({ code: "DPX_STORE", message: expect.stringContaining("NOPERM") });
    const isGone = async (): Promise<boolean> => !(await redisCli(port, ["CLIENT", "LIST"])).includes("user=limited");
    await poll(isGone, 5_000, "its connections to end");
  });
});
