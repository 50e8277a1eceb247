// Three nodes for a long time, with cuts, kicks, and clients and visitors that come and go: what they hold does not grow.
// `npm run soak` takes half an hour; `npm test` does the same for some seconds, at a quicker pace.

import { describe, expect, it } from "vitest";
import type { Growth } from "../support/growth.ts";
import { type SoakPace, SoakWorld } from "../support/soak-world.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const MINUTES = Number(process.env.DUPLEXITY_SOAK_MINUTES ?? 0);
const SEED = Number(process.env.DUPLEXITY_SOAK_SEED ?? 1);
const IS_LONG = MINUTES > 0;
const PACE: SoakPace = IS_LONG
  ? {
      seed: SEED,
      cutEveryMs: 20_000,
      sampleEveryMs: 10_000,
      comeAndGoEveryMs: 5_000,
      heartbeatSeconds: 5,
      resumeSeconds: 30,
    }
  : {
      seed: SEED,
      cutEveryMs: 500,
      sampleEveryMs: 1_000,
      comeAndGoEveryMs: 250,
      heartbeatSeconds: 1,
      resumeSeconds: 15,
    };
const LAST_MS = IS_LONG ? MINUTES * 60_000 : 12_000;
/** Code is compiled, caches are filled, V8 makes its young generation larger. */
const WARM_UP_MS = IS_LONG ? Math.min(300_000, LAST_MS / 4) : 4_000;

/** What may be more at the end than at the begin, by the trend. */
const TOLERATED: Readonly<Record<string, number>> = { heapMiB: 3, externalMiB: 4, residentMiB: 16 };
/**
 * Of all nodes together, and of keys in Redis, at each moment of the same load. With a cut each half second there are too few
 * moments for that: then only what is left at the end counts.
 */
const TOLERATED_COUNT = IS_LONG ? 16 : Number.POSITIVE_INFINITY;
/** What all nodes may have open more when it is quiet again than before: sockets to each other, which are opened late. */
const TOLERATED_REST = 20;
/** A session whose link was swallowed is given up after the resume window. */
const REST_LIMIT_MS = 90_000;

describe("Three nodes whose wires are cut again and again", () => {
  it(
    "hold no more at the end than when they were warm, and fail no visitor",
    async () => {
      const world = await SoakWorld.start(stage, PACE);
      const before = await world.counted();
      const beganAt = performance.now();
      const cpuBefore = await world.cpuMs();
      world.begin();
      await world.last(LAST_MS);
      const cpuShare = ((await world.cpuMs()) - cpuBefore) / (performance.now() - beganAt);
      await world.quiet();
      const { visitors, cuts, kicks, refusedKicks, arrivals } = world;
      console.log("soak:", {
        ...{ minutes: MINUTES, seed: SEED, cuts, kicks, refusedKicks, arrivals, ...visitors.counts, cpuShare },
      });
      const growths = world.watch.growths(beganAt + WARM_UP_MS);
      console.log(growths.map(shown).join("\n"));
      expect(visitors.failures).toEqual([]);
      expect(growths.filter(({ what, grown }) => grown > toleratedOf(what)).map(shown)).toEqual([]);
      let rest = before;
      await poll(
        async () => {
          rest = await world.counted();
          return Object.entries(rest).every(([name, value]) => value <= (before[name] ?? 0) + TOLERATED_REST);
        },
        REST_LIMIT_MS,
        "as few open as before",
        1_000,
      ).finally(() => console.log("quiet before and after:", { before, rest }));
    },
    LAST_MS + 240_000,
  );
});

function shown({ what, first, last, quarters, grown }: Growth): string {
  const round = (value: number): number => Math.round(value * 10) / 10;
  const way = [first, ...quarters, last].map(round).join(" ");
  return `${what}: ${way}, trend ${round(grown)}`;
}

function toleratedOf(what: string): number {
  return TOLERATED[what.split(" ")[0] ?? ""] ?? TOLERATED_COUNT;
}
