// Kicks and bans at random moments of clients that come, go, resume and register, with a registry that answers late: when
// a kick is confirmed nothing is left, and nothing comes back.

import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { errorOfClose } from "../../../src/protocol/index.ts";
import { Bans } from "../../../src/server/accounts/index.ts";
import { MemoryRegistry, type Registration, type RemoveReason } from "../../../src/server/backend/index.ts";
import { MemoryStore } from "../../../src/server/store/index.ts";
import { seededRandom } from "../../support/seeded.ts";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { type HandClient, startHub } from "./stage.ts";
import { reach, upAndLive } from "./steps.ts";
import { TokenBook, userIdOf } from "./token-book.ts";

const stage = useStage();

/** Answers a few turns of the event loop late, each time another number of them. */
class LateRegistry extends MemoryRegistry {
  readonly #random: () => number;

  constructor(random: () => number) {
    super();
    this.#random = random;
  }

  async #late(): Promise<void> {
    for (let left = Math.floor(this.#random() * 12); left > 0; left -= 1) await turn();
  }

  override async register(registration: Registration) {
    await this.#late();
    const result = await super.register(registration);
    await this.#late();
    return result;
  }

  override async remove(hostname: string, clientId: string, epoch: number, reason: RemoveReason) {
    await this.#late();
    return super.remove(hostname, clientId, epoch, reason);
  }
}

/** Does what clients do, at random, until `isOver`. */
async function live(client: HandClient, random: () => number, isOver: () => boolean): Promise<void> {
  const names = ["cat1", "cat2", "cat3"];
  while (!isOver()) {
    const wanted = names.filter(() => random() < 0.6);
    try {
      const { ticket } = await client.discover();
      await client.dial(ticket, wanted.length === 0 ? ["cat1"] : wanted);
      if (random() < 0.7) await client.registered();
      const next = random();
      if (next < 0.4) client.vanish();
      else if (next < 0.6) client.link?.abort(errorOfClose(1006, ""));
      else if (next < 0.7) {
        client.control?.send({ type: "clientDisconnectRequest", clientId: client.clientId, reason: "" });
      }
    } catch {
      client.vanish();
    }
    await turn();
  }
  client.vanish();
}

describe("Hub", () => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))(
    "has nothing left of an owner who was banned and kicked at a random moment (%i)",
    async (seed) => {
      const random = seededRandom(seed);
      const authenticator = new TokenBook();
      for (const name of ["ben", "eva"]) authenticator.add(name, authenticator.person(name));
      const admission = await Bans.open({ store: new MemoryStore() });
      stage.defer(() => admission.close());
      const registry = new LateRegistry(random);
      const hub = await startHub(stage, { authenticator, admission, registry, renewEveryMs: 5 });
      admission.onAdded((ban) => void hub.hub.enforce(ban));
      const eva = hub.client({ token: "eva" });
      await upAndLive(eva, "dog1");
      let isOver = false;
      const lives = Array.from({ length: 4 }, () => live(hub.client({ token: "ben" }), random, () => isOver));
      await poll(() => hub.hub.find("ben").clients.length > 1, 5_000, "clients of ben", 1);
      for (let wait = Math.floor(random() * 200); wait > 0; wait -= 1) await turn();
      const ban = {
        subject: { kind: "user", userId: userIdOf("ben"), name: "ben" },
        ...{ by: "ana", reason: "spam", at: Date.now(), until: null },
      } as const;
      await admission.add(ban);
      await hub.hub.enforce(ban);
      const left = () => [hub.hub.find("ben").clients, hub.hub.statistics.clients, hub.hub.statistics.routes];
      expect(left()).toEqual([[], 1, 1]);
      for (let turns = 0; turns < 300; turns += 1) {
        await turn();
        expect(left()).toEqual([[], 1, 1]);
      }
      isOver = true;
      await Promise.all(lives);
      await poll(() => hub.hub.statistics.controls === 1, 5_000, "only eva's socket", 2);
      expect((await registry.list(`user:${userIdOf("ben")}`, 10)).map(({ state }) => state)).toEqual([]);
      await reach(hub, "dog1.test");
      expect(eva.sessions).toHaveLength(1);
    },
    30_000,
  );
});
