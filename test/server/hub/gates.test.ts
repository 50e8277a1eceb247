// Pipes with a gate at the hub: what it can't ask of visitors it refuses, and the rest stands at the route.

import { describe, expect, it } from "vitest";
import type { PipeGate } from "../../../src/protocol/index.ts";
import { useStage } from "../../support/stage.ts";
import { startHub } from "./stage.ts";

const stage = useStage();
const NETWORKS: PipeGate = { allowCidr: ["192.0.2.0/24"] };
const PASSWORDS: PipeGate = {
  basicAuth: [{ user: "ada", hash: `$scrypt$ln=15,r=8,p=1$${"s".repeat(22)}$${"k".repeat(43)}` }],
};

describe("Hub", () => {
  it("says that it knows gates", async () => {
    const hub = await startHub(stage);
    expect(await hub.client().discover()).toMatchObject({ features: ["gates"] });
  });

  it("puts a gate at the route, another one in its place, and takes it away again", async () => {
    const hub = await startHub(stage, { canSignIn: true });
    const client = hub.client();
    for (const gate of [PASSWORDS, { ...NETWORKS, login: true as const }, NETWORKS]) {
      await client.up({ name: "cat1", protocol: "http", gate });
      expect(hub.hub.routes.locate("cat1.test")).toMatchObject({ gate, epoch: 1 });
    }
    await client.up("cat1");
    expect(hub.hub.routes.locate("cat1.test")).not.toHaveProperty("gate");
  });

  it.each([
    ["a sign-in where nobody can sign in", { login: true as const }, "http" as const, "this server has no accounts"],
    ["a password on a TCP pipe", PASSWORDS, "tcp" as const, "visitors of a TCP pipe can't be asked who they are"],
    ["a sign-in on a TCP pipe", { login: true as const }, "tcp" as const, "can't be asked who they are"],
  ])("refuses %s, and registers none of the pipes", async (_what, gate, protocol, message) => {
    const hub = await startHub(stage, { canSignIn: protocol === "tcp" });
    const { pipes } = await hub.client().up("open", { name: "cat1", protocol, gate });
    expect(pipes).toEqual([
      {
        status: "refused",
        name: "cat1",
        code: "DPX_USAGE",
        message: expect.stringContaining(message),
        hint: expect.any(String),
      },
    ]);
    expect(hub.hub.statistics.routes).toBe(0);
  });

  it("closes a control socket's dialer whose gate is malformed, and opens nothing", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const { ticket } = await client.discover();
    const { closed } = await client.dial(ticket, [{ name: "cat1", protocol: "http", gate: {} }]);
    expect(await closed).toMatchObject({ code: "DPX_MESSAGE_INVALID" });
    expect(hub.hub.statistics.routes).toBe(0);
  });
});
