// One look at an owner's names for all of its clients that come at once, and none that began before them.

import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import type { RegistryRecord } from "../../../src/server/backend/registry.ts";
import { OwnerLists } from "../../../src/server/hub/owner-lists.ts";
import { deferred } from "../../support/wait.ts";

function lists() {
  const looks: { readonly ownerId: string | null; readonly answer: ReturnType<typeof deferred<RegistryRecord[]>> }[] =
    [];
  const list = (ownerId: string | null) => {
    const answer = deferred<RegistryRecord[]>();
    looks.push({ ownerId, answer });
    return answer.promise;
  };
  return { looks, lists: new OwnerLists({ list }) };
}

describe("OwnerLists", () => {
  it("looks once more for all that come while it looks, and then no more", async () => {
    const { looks, lists: of } = lists();
    const first = of.of("ana");
    const later = [1, 2, 3].map(() => of.of("ana"));
    expect(looks).toHaveLength(1);
    looks[0]?.answer.resolve([]);
    await first;
    await Promise.resolve();
    expect(looks).toHaveLength(2);
    looks[1]?.answer.resolve([]);
    await Promise.all(later);
    const after = of.of("ana");
    expect(looks).toHaveLength(3);
    looks[2]?.answer.resolve([]);
    expect(await after).toEqual([]);
  });

  it("keeps nobody waiting for another owner's, or for one that failed", async () => {
    const { looks, lists: of } = lists();
    const failing = of.of("ana");
    const next = of.of("ana");
    void of.of("ben");
    expect(looks.map(({ ownerId }) => ownerId)).toEqual(["ana", "ben"]);
    looks[0]?.answer.reject(new DuplexityError("DPX_STORE", "The registry does not answer"));
    await expect(failing).rejects.toMatchObject({ code: "DPX_STORE" });
    await Promise.resolve();
    looks[2]?.answer.resolve([]);
    expect(await next).toEqual([]);
  });
});
