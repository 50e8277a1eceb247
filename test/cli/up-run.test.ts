import { EventEmitter, once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Interrupts, watchInterrupts } from "../../src/cli/interrupts.ts";
import type { UpView } from "../../src/cli/output/up-view.ts";
import { askDown, findUps } from "../../src/cli/runtime/running-ups.ts";
import { runUp, type UpRunOptions } from "../../src/cli/up-run.ts";
import { DuplexityError } from "../../src/protocol/errors.ts";
import { FakeTunnel } from "./support/fake-tunnel.ts";

let directory: string;
let interrupts: Interrupts;
/** What the view was told, as `name:first argument`. */
let told: string[];
let view: UpView;
const tolds = new EventEmitter();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "dpx-run-"));
  interrupts = watchInterrupts(new EventEmitter());
  told = [];
  const tell = (what: string) => {
    told.push(what);
    tolds.emit(what.split(" ")[0] ?? "");
  };
  view = {
    connecting: (server) => tell(`connecting ${server}`),
    ready: ({ pipes }) => tell(`ready ${pipes.map((pipe) => pipe.name).join(",")}`),
    request: ({ path }) => tell(`request ${path}`),
    reconnecting: (attempt, delayMs, code) => tell(`reconnecting ${attempt} ${delayMs} ${code}`),
    resumed: (outageMs) => tell(`resumed ${outageMs}`),
    pipe: ({ name }, error) => tell(`pipe ${name} ${error?.code}`),
    changed: (closed, left) => tell(`changed ${closed.join(",")} ${left.map((pipe) => pipe.name).join(",")}`),
    draining: (open) => tell(`draining ${open}`),
    closed: (names, code, reason) => tell(`closed ${names.join(",")} ${code} ${reason}`),
    show: (what) => tell(`show ${what}`),
    end: () => tell("end"),
  };
});
afterEach(() => {
  interrupts.stop();
  rmSync(directory, { recursive: true });
});

function optionsFor(forward: UpRunOptions["forward"]): UpRunOptions {
  return { server: "http://localhost:8080", view, interrupts, directory, startedAt: Date.now(), forward };
}

/** Starts a run and waits until its pipes are up. */
async function start(tunnel: FakeTunnel, more: Partial<UpRunOptions> = {}): Promise<{ ended: Promise<number> }> {
  const ready = once(tolds, "ready");
  const ended = runUp({ ...optionsFor(async () => tunnel), ...more });
  // A failure is the test's to look at, later.
  ended.catch(() => {});
  await ready;
  return { ended };
}

describe("runUp", () => {
  it("tells the view what the tunnel tells, in order", async () => {
    const tunnel = new FakeTunnel(["cat1"]);
    const { ended } = await start(tunnel);
    tunnel.change({ state: "reconnecting", attempt: 1, delayMs: 500, code: "DPX_LINK_LOST" });
    tunnel.emit("reconnect", { outageMs: 2_100 });
    const [pipe] = tunnel.pipes;
    if (pipe === undefined) throw new Error("the tunnel has no pipe");
    tunnel.emit("pipe", { pipe, error: new DuplexityError("DPX_TCP_PORTS", "There are no TCP ports") });
    tunnel.emit("pipe", { pipe, error: null });
    tunnel.emit("request", {
      ...{ hostname: "cat1.localhost", method: "GET", path: "/a", status: 200, durationMs: 1 },
      ...{ responseBytes: 1, requestBytes: 0, visitor: "" },
    });
    interrupts.interrupt();
    expect(await ended).toBe(0);
    expect(told).toEqual([
      "connecting http://localhost:8080",
      "ready cat1",
      "reconnecting 1 500 DPX_LINK_LOST",
      "resumed 2100",
      "pipe cat1 DPX_TCP_PORTS",
      "pipe cat1 undefined",
      "request /a",
      "closed cat1 null interrupted",
      "end",
    ]);
  });

  it("drains for ten seconds at the first interrupt, and answers 130 at the second", async () => {
    const tunnel = new FakeTunnel(["cat1"]);
    tunnel.closing = new Promise(() => {});
    const { ended } = await start(tunnel);
    const draining = once(tolds, "draining");
    interrupts.interrupt();
    await draining;
    interrupts.interrupt();
    expect(await ended).toBe(130);
    expect(tunnel.closeCalls).toEqual([{ drainMs: 10_000 }]);
    expect(told.some((line) => line.startsWith("closed"))).toBe(false);
  });

  it("lets the first interrupt close nothing at once", async () => {
    const tunnel = new FakeTunnel(["cat1"]);
    let dialSignal: AbortSignal | null = null;
    const { ended } = await start(tunnel, {
      forward: async (signal) => {
        dialSignal = signal;
        return tunnel;
      },
    });
    interrupts.interrupt();
    expect(await ended).toBe(0);
    // The SDK closes a tunnel without a drain when its signal aborts.
    expect(dialSignal).toMatchObject({ aborted: false });
  });

  it("gives up the first dial at an interrupt and answers 130", async () => {
    const connecting = once(tolds, "connecting");
    const ended = runUp(
      optionsFor(
        (signal) =>
          new Promise((_, reject) =>
            signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true }),
          ),
      ),
    );
    await connecting;
    interrupts.interrupt();
    expect(await ended).toBe(130);
    expect(told.at(-1)).toBe("end");
  });

  it("rejects with why the tunnel ended by itself, and says so first", async () => {
    const tunnel = new FakeTunnel(["cat1"]);
    const { ended } = await start(tunnel);
    tunnel.fail(new DuplexityError("DPX_REPLACED", "taken over by another up of yours"));
    await expect(ended).rejects.toMatchObject({ code: "DPX_REPLACED" });
    expect(told).toContain("closed cat1 DPX_REPLACED taken over by another up of yours");
  });

  it("leaves no socket behind, however it ends", async () => {
    const { ended } = await start(new FakeTunnel(["cat1"]));
    expect(readdirSync(directory)).toHaveLength(1);
    interrupts.interrupt();
    await ended;
    expect(readdirSync(directory)).toEqual([]);
  });

  it("answers status with the figures, and since when it is away", async () => {
    const tunnel = new FakeTunnel(["cat1", "cat2"]);
    const { ended } = await start(tunnel);
    expect((await findUps(directory)).ups[0]?.status).toMatchObject({
      ...{ pid: process.pid, clientId: "client-1", server: "http://localhost:8080", state: "up" },
      ...{ requests: 3, rttMs: 1.5, lastByteAt: "1970-01-01T00:00:01.000Z", awaySince: null },
      pipes: [{ name: "cat1" }, { name: "cat2" }],
    });
    tunnel.change({ state: "reconnecting", attempt: 1, delayMs: 500, code: "DPX_LINK_LOST" });
    const [away] = (await findUps(directory)).ups;
    expect(away?.status.state).toBe("reconnecting");
    expect(away?.status.awaySince).not.toBeNull();
    interrupts.interrupt();
    await ended;
  });

  it("ends with 0 when all its pipes are downed, after the answer has gone out", async () => {
    const { ended } = await start(new FakeTunnel(["cat1", "cat2"]));
    const path = (await findUps(directory)).ups[0]?.path ?? "";
    expect(await askDown(path, null)).toEqual({ v: 1, type: "downed", names: ["cat1", "cat2"] });
    expect(await ended).toBe(0);
    expect(told).toContain("closed cat1,cat2 null down");
  });

  it("keeps the other pipes when one is downed, and ends with the last", async () => {
    const tunnel = new FakeTunnel(["cat1", "cat2"]);
    const { ended } = await start(tunnel);
    const path = (await findUps(directory)).ups[0]?.path ?? "";
    expect(await askDown(path, ["cat1"])).toEqual({ v: 1, type: "downed", names: ["cat1"] });
    expect(tunnel.closedPipes).toEqual([[["cat1"], { drainMs: 10_000 }]]);
    expect(tunnel.closeCalls).toEqual([]);
    expect(told).toContain("changed cat1 cat2");
    expect((await findUps(directory)).ups[0]?.status.pipes.map((pipe) => pipe.name)).toEqual(["cat2"]);
    expect(await askDown(path, ["cat2"])).toMatchObject({ type: "downed", names: ["cat2"] });
    expect(await ended).toBe(0);
  });

  it("does what is typed", async () => {
    let type: (key: string) => void = () => {};
    let isStopped = false;
    const { ended } = await start(new FakeTunnel(["cat1"]), {
      watchKeys: (onKey) => {
        type = onKey;
        return () => {
          isStopped = true;
        };
      },
    });
    for (const key of ["h", "u", "c", "s", "x", ""]) type(key);
    type("q");
    expect(await ended).toBe(0);
    expect(told.filter((line) => line.startsWith("show"))).toEqual([
      "show help",
      "show urls",
      "show clear",
      "show figures",
    ]);
    expect(isStopped).toBe(true);
  });
});
