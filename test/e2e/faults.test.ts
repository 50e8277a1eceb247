// A cluster's nodes, haproxy and one Redis, all of them failing at random: nobody's name is ever answered by another, no POST
// comes twice, and afterwards everything is served again. `npm run test:faults` does many schedules of it.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { describeFaults, planFaults } from "../support/fault-plan.ts";
import { FaultWorld, LEASE_MS, NAMES } from "../support/fault-world.ts";
import { CLUSTERS } from "../support/nodes.ts";
import { seededRandom } from "../support/seeded.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
/** The short form: schedules that have many of the faults between them, and are over in well under a minute. */
const SHORT = { "three nodes": { seed: 2, schedules: 2 }, "six processes with a role each": { seed: 1, schedules: 1 } };
/** Of which cluster's nodes: `three` or `six`. @default both */
const ONLY = process.env.DUPLEXITY_FAULT_CLUSTER;
const SCHEDULE_LIMIT_MS = 240_000;

describe.each(CLUSTERS.filter(({ cluster }) => cluster.startsWith(ONLY ?? "")))(
  "$cluster of which everything fails",
  ({ cluster, roles }) => {
    const first = Number(process.env.DUPLEXITY_FAULT_SEED ?? SHORT[cluster].seed);
    const schedules = Number(process.env.DUPLEXITY_FAULT_SCHEDULES ?? SHORT[cluster].schedules);
    it(
      `keep each name with its owner, in ${schedules} schedules`,
      async () => {
        const world = await FaultWorld.start(stage, roles);
        for (let seed = first; seed < first + schedules; seed += 1) {
          const faults = planFaults(seed, { nodes: world.nodes.servers.length, names: NAMES.length });
          const what = `--cluster ${cluster.split(" ")[0]} --seed ${seed} --schedules 1: ${describeFaults(faults)}`;
          console.log(what);
          await world.settle();
          const stop = world.visitors.come(seededRandom(seed));
          const begin = performance.now();
          await Promise.all(
            faults.map(async (fault) => {
              await delay(Math.max(0, fault.atMs - (performance.now() - begin)));
              await world.apply(fault);
            }),
          );
          const ended = performance.now();
          await servedAgain(world, ended, what);
          const healedMs = Math.round(performance.now() - ended);
          await stop();
          await world.allDecided();
          const isOrdered = (): boolean => world.checker.older.length === 0;
          await poll(isOrdered, LEASE_MS, "older clients to have been right").catch(() => {});
          console.log(`seed ${seed}: ${world.checker.answers} answers so far, served again after ${healedMs} ms`);
          expect([...world.checker.violations, ...world.checker.older], what).toEqual([]);
          expect(world.deserters(), what).toEqual([]);
        }
      },
      schedules * SCHEDULE_LIMIT_MS,
    );
  },
);

/** Every name that has a living holder is answered by it, at every node and at haproxy. */
async function servedAgain(world: FaultWorld, since: number, what: string): Promise<void> {
  for (const name of NAMES) {
    for (const port of world.visitors.ports) {
      const isServed = async (): Promise<boolean> => {
        const holder = world.checker.holderOf(name);
        return holder === null || (await world.visitors.visit(port, name, 2_000)) === holder;
      };
      const leftMs = Math.max(1, since + LEASE_MS - performance.now());
      await poll(isServed, leftMs, `${name} to be served at ${port}; ${what}`, 100).catch((error: unknown) => {
        throw new Error(
          `${error}\n${world.told()}\n${world.nodes.servers.map(({ process }) => process.stderr.slice(-4_000)).join("\n---\n")}`,
        );
      });
    }
  }
}
