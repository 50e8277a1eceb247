// Who may come in, as a program says it: checked before anything is dialled, and told to the server without a password.

import { createServer } from "node:net";
import { beforeEach, describe, expect, it } from "vitest";
import { type ForwardOptions, forward, type GateOptions, type PipeOptions } from "../../src/client/index.ts";
import { isGatePassword } from "../../src/protocol/index.ts";
import { useStage } from "../support/stage.ts";
import { FakeHub } from "./fake-hub.ts";
import { listen } from "./support.ts";

const stage = useStage();
const ADA = { user: "ada", password: "correct horse" };
let hub: FakeHub;
let target: number;

beforeEach(async () => {
  hub = await new FakeHub().listen();
  hub.features = ["later", "gates"];
  stage.defer(() => hub.close());
  const server = createServer();
  target = await listen(server);
  stage.defer(() => server.close());
});

async function up(options: Partial<ForwardOptions> & { pipes?: readonly PipeOptions[] }) {
  const tunnel = options.pipes
    ? await forward({ server: hub.url, ...options, pipes: options.pipes })
    : await forward(target, { server: hub.url, name: "cat1", ...options });
  stage.defer(() => tunnel.close());
  await hub.next("live");
  return hub.lastDial?.pipes ?? [];
}

const sealed = [{ user: "ada", hash: expect.stringMatching(/^\$scrypt\$ln=15,r=8,p=1\$.{22}\$.{43}$/) }];

describe("forward", () => {
  it("tells the server a hash of each password and networks in their one form", async () => {
    const gate = { basicAuth: [ADA, { user: "bo\u0308b", password: "x" }], allowCidr: ["::FFFF:192.0.2.7", " ::1 "] };
    const [pipe] = await up({ gate: { ...gate, login: true } });
    expect(pipe).toEqual({
      name: "cat1",
      protocol: "http",
      gate: {
        basicAuth: [...sealed, { user: "böb", hash: expect.any(String) }],
        allowCidr: ["192.0.2.7/32", "::1/128"],
        login: true,
      },
    });
    expect(JSON.stringify(pipe)).not.toContain("correct horse");
    expect(await isGatePassword("correct horse", pipe?.gate?.basicAuth?.[0]?.hash ?? "")).toBe(true);
  });

  it("takes a pipe's own gate before the tunnel's, and hashes a shared one once", async () => {
    const pipes = [
      { name: "a", target },
      { name: "b", target },
      { name: "c", target, gate: { allowCidr: ["::1"] } },
      { name: "d", target, gate: {} },
    ];
    const dialled = await up({ pipes, gate: { basicAuth: [ADA] } });
    expect(dialled).toEqual([
      { name: "a", protocol: "http", gate: { basicAuth: sealed } },
      { name: "b", protocol: "http", gate: dialled[0]?.gate },
      { name: "c", protocol: "http", gate: { allowCidr: ["::1/128"] } },
      { name: "d", protocol: "http" },
    ]);
  });

  it("does not dial a server that would let everybody in", async () => {
    hub.features = null;
    const refused = forward(target, { server: hub.url, name: "cat1", gate: { allowCidr: ["::1"] } });
    await expect(refused).rejects.toMatchObject({
      code: "DPX_PROTOCOL_VERSION",
      message: 'Cannot open "cat1": the server (fake/9.9) is too old to keep visitors out',
    });
    expect(hub.upgrades.map(({ url }) => url)).toEqual(["/control"]);
  });

  const many = (count: number): GateOptions["basicAuth"] =>
    Array.from({ length: count }, (_, at) => ({ user: `u${at}`, password: "x" }));
  const cases: readonly [string, GateOptions, string][] = [
    ["no users", { basicAuth: [] }, "0 visitors with passwords: wanted 1 to 64"],
    ["too many users", { basicAuth: many(65) ?? [] }, "65 visitors with passwords: wanted 1 to 64"],
    [
      "a user twice",
      { basicAuth: [ADA, { user: "ada", password: "y" }] },
      'Cannot let "ada" in: there are two of that name',
    ],
    ["a user with a colon", { basicAuth: [{ user: "a:b", password: "x" }] }, "it can't be a visitor's name"],
    ["no password", { basicAuth: [{ user: "ada", password: "" }] }, 'Cannot let "ada" in: the password is empty'],
    ["a long password", { basicAuth: [{ user: "ada", password: "s3cret".repeat(99) }] }, "the password is too long"],
    ["no networks", { allowCidr: [] }, "0 networks: wanted 1 to 64"],
    ["a network that is none", { allowCidr: ["10.0.0.0/33"] }, 'from "10.0.0.0/33": it is not a network such as'],
  ];

  it.each(cases)("refuses %s before anything is dialled", async (_what, gate, message) => {
    const refused = await forward(target, { server: hub.url, gate }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "DPX_USAGE", message: expect.stringContaining(message) });
    expect(String(refused)).not.toContain("s3cret");
    expect(hub.upgrades).toEqual([]);
  });

  it("refuses to ask a TCP pipe's visitors who they are, but not where they come from", async () => {
    for (const [gate, what] of [
      [{ basicAuth: [ADA] }, "a password"],
      [{ login: true }, "a sign-in"],
    ] as const) {
      await expect(forward(`tcp://localhost:${target}`, { server: hub.url, name: "db", gate })).rejects.toMatchObject({
        code: "DPX_USAGE",
        message: expect.stringContaining(`Cannot ask visitors of "db" for ${what}: it is a TCP pipe`),
      });
    }
    expect(hub.upgrades).toEqual([]);
    const pipes = [{ name: "db", target: `tcp://localhost:${target}`, gate: { allowCidr: ["::1"] } }];
    expect(await up({ pipes })).toEqual([{ name: "db", protocol: "tcp", gate: { allowCidr: ["::1/128"] } }]);
  });

  it("refuses gates that don't fit into one message together", async () => {
    const allowCidr = Array.from({ length: 64 }, (_, at) => `2001:db8:1111:2222:3333:4444:5555:${at.toString(16)}`);
    const pipes = Array.from({ length: 32 }, (_, at) => ({ name: `c${at}`, target, gate: { allowCidr } }));
    await expect(forward({ server: hub.url, pipes })).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: expect.stringContaining("more than fits into one message"),
    });
  });
});
