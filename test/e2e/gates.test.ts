// Visitors kept out by the built command, from the flag to the browser's answer, through a link that is cut.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createHome, spawnUp, startServer } from "../support/duplexity.ts";
import { useStage } from "../support/stage.ts";
import { startFaultyTunnel, startTunnel } from "../support/tunnel.ts";
import { visit } from "../support/visitor.ts";

const stage = useStage();

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

describe("up --basic-auth", () => {
  it("asks every visitor, before a cut of the link and after", async () => {
    const file = join(await stage.folder("visitors"), "visitors");
    await writeFile(file, "# who\nada:correct horse\n", { mode: 0o600 });
    const tunnel = await startFaultyTunnel(stage, { upArgs: ["--basic-auth", file] });
    const ask = async (headers: Record<string, string> = {}) => {
      const { status, headers: fields, body } = await tunnel.visit("/headers", { headers });
      return { status, challenge: fields["www-authenticate"] ?? null, body };
    };
    const refused = { status: 401, challenge: `Basic realm="${tunnel.hostname}", charset="UTF-8"` };
    expect(await ask()).toMatchObject(refused);
    expect(await ask(basic("ada", "wrong"))).toMatchObject(refused);
    const entered = await ask(basic("ada", "correct horse"));
    expect(entered).toMatchObject({ status: 200, challenge: null });
    expect(entered.body).not.toMatch(/authorization/i);
    tunnel.link.cutAll();
    expect(await ask(basic("ada", "correct horse"))).toMatchObject({ status: 200 });
    expect(await ask()).toMatchObject(refused);
    const printed = tunnel.server.process.printed() + tunnel.up.process.printed();
    expect(printed).not.toMatch(/correct horse|Y29ycmVjdCBob3JzZQ/);
  });
});

describe("up --allow-cidr", () => {
  it("lets in whom it names, and tells the others apart from an unknown name", async () => {
    const open = await startTunnel(stage, { upArgs: ["--allow-cidr", "127.0.0.0/8", "--allow-cidr", "::1"] });
    expect((await open.visit("/hello")).status).toBe(200);
    const closed = await startTunnel(stage, { upArgs: ["--allow-cidr", "192.0.2.0/24"] });
    const answer = await closed.visit("/");
    expect([answer.status, answer.headers["duplexity-error"]]).toEqual([403, "DPX_VISITOR_FORBIDDEN"]);
    expect((await visit(closed.server.port, "other.localhost", "/")).status).toBe(404);
  });
});

describe("up --login", () => {
  it("is refused by a server without accounts, with what to do instead", async () => {
    const server = await startServer(stage);
    const home = await createHome(stage);
    const up = await spawnUp(stage, server.url, ["cat1:9090"], { home, args: ["--login"] });
    expect(await up.exited()).toMatchObject({ status: 2 });
    expect(await up.nextLine("error")).toMatchObject({
      code: "DPX_USAGE",
      message: 'Cannot register "cat1" with a sign-in: this server has no accounts',
      hint: expect.stringContaining("--basic-auth FILE"),
    });
  });
});
