// Kicks, with the built command: each is final, confirmed, and disturbs nobody else.

import { describe, expect, it } from "vitest";
import { createHome, runDuplexity, spawnDuplexity, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { startManyClients } from "../support/many-clients.ts";
import { ADMIN_TOKEN, startPeopleServer } from "../support/people.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();

const CLIENTS = 200;
const ADMIN = { env: { DUPLEXITY_TOKEN: ADMIN_TOKEN } };

describe("kick", () => {
  it("ends 200 clients one by one, keeps each out, and leaves all others alone", async () => {
    const room = ["--max-clients-per-owner", "300", "--max-pipes-per-owner", "300"];
    const server = await startPeopleServer(stage, { args: room });
    const origin = await startHttpOrigin(stage, "hello");
    await server.admin("/api/users", { name: "ben" });
    const { secret } = await server.admin("/api/tokens", { name: "many", user: "ben" });
    const many = { server: server.url, target: origin.target, token: String(secret), prefix: "cat", count: CLIENTS };
    const news = await startManyClients(stage, many);
    // A neighbour who has nothing to do with it.
    const neighbour = await startUp(stage, server.url, [`dog:${origin.target}`], ADMIN);
    let failed = 0;
    let asked = 0;
    let slowestMs = 0;
    for (let index = 0; index < CLIENTS; index += 1) {
      const name = `cat${index}`;
      const startedAt = Date.now();
      const answer = await server.admin("/api/kick", { who: name, banMs: 3_600_000, reason: "too loud" });
      expect(answer.clients).toMatchObject([{ user: expect.stringContaining("ben"), pipes: [`${name}.localhost`] }]);
      const closed = await poll(() => news.get(`closed ${name}`), 5_000, `the end of ${name}`, 2);
      slowestMs = Math.max(slowestMs, (closed.at ?? 0) - startedAt);
      expect([closed.code, closed.message]).toEqual([
        "DPX_KICKED",
        expect.stringMatching(/admin kicked this client: too loud. Banned until 20/),
      ]);
      const others = index + 1 < CLIENTS ? [`cat${index + 1}`, "dog"] : ["dog"];
      for (const other of others) {
        asked += 1;
        if ((await visit(server.port, `${other}.localhost`, "/hello")).status !== 200) failed += 1;
      }
    }
    await poll(
      () => [...news.keys()].filter((key) => key.startsWith("tried ")).length === CLIENTS,
      30_000,
      "the tries",
    );
    const tries = [...news.values()].filter(({ type }) => type === "tried").map(({ result }) => result);
    expect(new Set(tries)).toEqual(new Set(["DPX_BANNED"]));
    expect(failed).toBe(0);
    expect(neighbour.process.hasExited).toBe(false);
    console.log(
      `${CLIENTS} kicks: the slowest was known to its client after ${slowestMs} ms; ${asked} visits, 0 failed`,
    );
  });

  it("by the command shows who, why and until when, at both ends, and is in the audit log", async () => {
    const server = await startPeopleServer(stage);
    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, server.url, [`cat1:${origin.target}`], ADMIN);
    const args = ["--server", server.url];
    const unknown = await runDuplexity(stage, ["kick", "cat2", "--yes", "--json", ...args], ADMIN);
    expect(unknown.status).toBe(1);
    expect(unknown.lines[0]).toMatchObject({ code: "DPX_NOT_FOUND", hint: expect.stringContaining("cat1") });
    const unsure = await runDuplexity(stage, ["kick", "cat1", ...args], ADMIN);
    expect(unsure.status).toBe(2);
    const kick = await runDuplexity(
      stage,
      ["kick", "cat1", "--ban", "2h", "--reason", "too loud", "--yes", "--json", ...args],
      ADMIN,
    );
    expect(kick.status).toBe(0);
    expect(kick.lines[0]).toMatchObject({
      type: "kicked",
      clients: [{ clientId: up.clientId, pipes: ["cat1.localhost"] }],
    });
    expect((await up.process.exited()).status).toBe(6);
    expect(up.process.lines.at(-1)).toMatchObject({
      type: "error",
      code: "DPX_KICKED",
      message: expect.stringMatching(/admin kicked this client: too loud. Banned until 20/),
    });
    expect((await visit(server.port, "cat1.localhost", "/hello")).status).toBe(404);
    const again = await spawnDuplexity(stage, ["up", "--json", "--pipe", "cat1:9090", ...args], ADMIN);
    expect((await again.exited()).status).toBe(6);
    const bans = await runDuplexity(stage, ["list", "--bans", "--json", ...args], ADMIN);
    expect(bans.lines[0]).toMatchObject({ name: expect.stringContaining("cat1"), reason: "too loud", by: "admin" });
    expect((await runDuplexity(stage, ["unban", "cat1", ...args], ADMIN)).status).toBe(0);
    await startUp(stage, server.url, [`cat1:${origin.target}`], ADMIN);
    const audit = await runDuplexity(stage, ["audit", ...args], ADMIN);
    const actions = audit.stdout
      .trim()
      .split("\n")
      .map((line) => String(JSON.parse(line).action));
    expect(actions).toEqual(expect.arrayContaining(["kick", "ban", "unban"]));
  });

  it("of a frozen client is confirmed all the same", async () => {
    const server = await startPeopleServer(stage);
    const origin = await startHttpOrigin(stage, "hello");
    const up = await startUp(stage, server.url, [`cat1:${origin.target}`], ADMIN);
    up.process.kill("SIGSTOP");
    const kicked = server.admin("/api/kick", { who: up.clientId });
    expect((await within(kicked, 5_000, "the confirmation")).clients).toMatchObject([{ clientId: up.clientId }]);
    expect((await visit(server.port, "cat1.localhost", "/hello")).status).toBe(404);
    up.process.kill("SIGCONT");
    expect((await up.process.exited()).status).toBe(6);
  });

  it("is refused to whoever is no admin", async () => {
    const server = await startPeopleServer(stage);
    await server.admin("/api/users", { name: "ben" });
    const { secret } = await server.admin("/api/tokens", { name: "ci", user: "ben", namePatterns: ["cat*"] });
    const ben = { home: await createHome(stage), env: { DUPLEXITY_TOKEN: String(secret) } };
    const kick = await runDuplexity(stage, ["kick", "cat1", "--yes", "--json", "--server", server.url], ben);
    expect([kick.status, kick.lines[0]?.code]).toEqual([4, "DPX_FORBIDDEN"]);
    const dog = await runDuplexity(stage, ["up", "--json", "--pipe", "dog1:9090", "--server", server.url], ben);
    expect([dog.status, dog.lines[0]?.code]).toEqual([4, "DPX_FORBIDDEN"]);
    await startUp(stage, server.url, ["cat1:9090"], ben);
  });
});
