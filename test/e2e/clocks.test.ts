// Nodes of one cluster whose clocks are ten minutes ahead and ten minutes behind: who is signed in, tokens and bans with an
// end are judged by all of them alike.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { startUp } from "../support/duplexity.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { type Nodes, startNodes } from "../support/nodes.ts";
import { beginLogin, fillIn, newPerson, PASSWORD } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
const CLOCKS_S = [0, 600, -600];
const NUMBERS = [...CLOCKS_S.keys()];
const SHORT_MS = 300_000;
/** Processes are some seconds behind each other on a busy machine, never minutes. */
const SLACK_MS = 20_000;

async function startApart(aheadS: readonly number[]): Promise<{ nodes: Nodes; clocks: readonly FakeClock[] }> {
  const clocks = await Promise.all(aheadS.map((seconds) => FakeClock.create(stage, seconds)));
  return { nodes: await startNodes(stage, { clocks }), clocks };
}

/** Until each node's answers show its new time. */
async function setAll(nodes: Nodes, clocks: readonly FakeClock[], aheadS: readonly number[]): Promise<void> {
  for (const [number, clock] of clocks.entries()) {
    const seconds = aheadS[number] ?? 0;
    await clock.set(seconds);
    const isSet = async (): Promise<boolean> => {
      const { headers } = await fetch(`${nodes.servers[number]?.url}/`);
      const aheadMs = Date.parse(headers.get("date") ?? "") - Date.now();
      return Math.abs(aheadMs - seconds * 1_000) < SLACK_MS;
    };
    await poll(isSet, 10_000, `the clock of node ${number}`);
  }
}

async function untilKnown(nodes: Nodes, name: string, number: number): Promise<void> {
  const isKnown = async (): Promise<boolean> =>
    JSON.stringify(await nodes.admin("/api/users", undefined, number)).includes(`"${name}"`);
  await poll(isKnown, 5_000, `${name} at node ${number}`);
}

/** `up` at each node in turn: it comes up. */
async function comesUpEverywhere(nodes: Nodes, token: string): Promise<void> {
  const origin = await startHttpOrigin(stage);
  for (const [number, { url }] of nodes.servers.entries()) {
    const up = await startUp(stage, url, [`cat${number}:${origin.target}`], { env: { DUPLEXITY_TOKEN: token } });
    await up.process.end();
  }
}

describe("A cluster whose nodes' clocks are ten minutes apart", () => {
  it("ends bans and tokens of five minutes by one time, whichever node made them", async () => {
    const { nodes } = await startApart(CLOCKS_S);
    await nodes.admin("/api/users", { name: "ben" });
    for (const number of NUMBERS) await untilKnown(nodes, "ben", number);
    for (const maker of NUMBERS) {
      const made = await nodes.admin("/api/tokens", { name: `ci${maker}`, user: "ben", ttlMs: SHORT_MS }, maker);
      await comesUpEverywhere(nodes, String(made.secret));
    }
    for (const maker of NUMBERS) {
      const name = `eve${maker}`;
      await nodes.admin("/api/users", { name }, maker);
      const { until } = await nodes.admin("/api/kick", { who: name, banMs: SHORT_MS }, maker);
      expect(Math.abs(Date.parse(String(until)) - Date.now() - SHORT_MS), name).toBeLessThan(SLACK_MS);
      for (const number of NUMBERS) {
        const isBanned = async (): Promise<boolean> =>
          JSON.stringify(await nodes.admin("/api/bans", undefined, number)).includes(name);
        await poll(isBanned, 5_000, `the ban of ${name} at node ${number}`);
      }
    }
  }, 120_000);

  it("lets in who signed in before they were set, and by a node that is ahead", async () => {
    const { nodes, clocks } = await startApart([0, 0, 0]);
    const { page, home } = await newPerson(stage, await startChromium(stage));
    const { inviteUrl } = await nodes.admin("/api/users", { name: "ben" });
    await page.goto(String(inviteUrl));
    await fillIn(page, { password: PASSWORD });
    const signedIn = async (): Promise<string> => {
      const { process, url } = await beginLogin(stage, { origin: `http://localhost:${nodes.port}` }, home);
      await page.goto(url);
      await process.nextLine("loggedIn");
      return JSON.parse(await readFile(join(home.configDir, "sign-ins.json"), "utf8")).signIns[0].token;
    };
    const before = await signedIn();
    await setAll(nodes, clocks, CLOCKS_S);
    await comesUpEverywhere(nodes, before);
    await setAll(nodes, clocks, [600, 600, 600]);
    const ahead = await signedIn();
    await setAll(nodes, clocks, CLOCKS_S);
    await comesUpEverywhere(nodes, ahead);
  }, 120_000);
});
