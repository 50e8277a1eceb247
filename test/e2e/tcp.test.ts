// TCP pipes: a public port, raw bytes, both directions closing apart.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createHome, portOf, type RunningUp, spawnUp, startServer, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { ADMIN_TOKEN } from "../support/people.ts";
import { redisCli, startRedis } from "../support/redis.ts";
import { seededBytes } from "../support/seeded.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { startTcpOrigin } from "../support/tcp-origin.ts";
import { RawVisitor, visit } from "../support/visitor.ts";

const stage = useStage();

/** A range in which at least the first was free a moment ago. */
async function tcpPorts(count = 20): Promise<string> {
  const from = Math.min(await freePort(), 65_000);
  return `${from}-${from + count - 1}`;
}

function publicPort(up: RunningUp): number {
  const url = up.pipes[0]?.url ?? "";
  expect(url).toMatch(/^tcp:\/\/localhost:\d+$/);
  return portOf(url);
}

describe("A TCP pipe", () => {
  it("carries redis-cli to a real redis-server", async () => {
    const redis = await startRedis(stage);
    const server = await startServer(stage, { args: ["--tcp-ports", await tcpPorts()] });
    const port = publicPort(await startUp(stage, server.url, [`db:tcp://127.0.0.1:${redis}`]));
    const value = seededBytes(3, 300_000).toString("hex");
    expect(await redisCli(port, ["SET", "cat", "Minka"])).toBe("OK");
    expect(await redisCli(port, ["GET", "cat"])).toBe("Minka");
    expect(await redisCli(port, ["EVAL", `return redis.call("SET", "big", string.rep("x", 8000000))`, "0"])).toBe("OK");
    expect(await redisCli(port, ["GET", "big"])).toHaveLength(8_000_000);
    // Longer than one argument may be: so it goes as 60,000-byte pieces.
    for (let at = 0; at < value.length; at += 60_000)
      await redisCli(port, ["APPEND", "text", value.slice(at, at + 60_000)]);
    expect(await redisCli(redis, ["GET", "text"])).toBe(value);
  });

  it("brings an answer that is written after the visitor's half-close", async () => {
    const origin = await startTcpOrigin(stage, (socket) => {
      let question = "";
      socket.on("data", (chunk: Buffer) => (question += chunk.toString()));
      socket.on("end", () => setTimeout(() => socket.end(`${question} is answered after its end`), 100));
    });
    const server = await startServer(stage, { args: ["--tcp-ports", await tcpPorts()] });
    const port = publicPort(await startUp(stage, server.url, [`half:tcp://${origin.target}`]));
    const visitor = await RawVisitor.open(stage, port);
    visitor.write("question");
    visitor.end();
    expect(await visitor.readAll()).toBe("question is answered after its end");
    expect(visitor.error).toBeNull();
  });

  it("lets the visitor write on after the target's half-close", async () => {
    let received = "";
    let tell: (text: string) => void = () => {};
    const all = new Promise<string>((resolve) => (tell = resolve));
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.end("hello");
      socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
      socket.on("end", () => tell(received));
    });
    const server = await startServer(stage, { args: ["--tcp-ports", await tcpPorts()] });
    const port = publicPort(await startUp(stage, server.url, [`half:tcp://${origin.target}`]));
    const visitor = await RawVisitor.open(stage, port);
    expect(await visitor.readAll()).toBe("hello");
    visitor.write("afterwards");
    visitor.end();
    expect(await all).toBe("afterwards");
  });

  it("keeps its public port when its client comes again", async () => {
    const origin = await startTcpOrigin(stage, (socket) => socket.pipe(socket));
    const server = await startServer(stage, { args: ["--tcp-ports", await tcpPorts()] });
    const home = await createHome(stage);
    const first = await startUp(stage, server.url, [`db:tcp://${origin.target}`], { home });
    const port = publicPort(first);
    await startUp(stage, server.url, [`other:tcp://${origin.target}`]);
    first.process.kill("SIGTERM");
    expect(await first.process.exited()).toEqual({ status: 0, signal: null });
    await startUp(stage, server.url, [`third:tcp://${origin.target}`]);
    const again = await startUp(stage, server.url, [`db:tcp://${origin.target}`], { home });
    expect(publicPort(again)).toBe(port);
    const visitor = await RawVisitor.open(stage, port);
    visitor.write("round trip");
    visitor.end();
    expect(await visitor.readAll()).toBe("round trip");
  });

  it("resets the visitor when nothing listens on its target", async () => {
    const server = await startServer(stage, { args: ["--tcp-ports", await tcpPorts()] });
    const port = publicPort(await startUp(stage, server.url, [`db:tcp://127.0.0.1:${await freePort()}`]));
    const visitor = await RawVisitor.open(stage, port);
    visitor.write("anyone?");
    expect(await visitor.readAll()).toBe("");
    expect(visitor.error).toMatchObject({ code: "ECONNRESET" });
  });

  it("is refused with DPX_TCP_PORTS by a server without --tcp-ports", async () => {
    const server = await startServer(stage);
    await expect(startUp(stage, server.url, ["db:tcp://127.0.0.1:5432"])).rejects.toThrow("DPX_TCP_PORTS");
  });

  it("keeps nobody's HTTP pipes down at nodes without ports, nor their neighbour from going", async () => {
    const redisPort = await startRedis(stage);
    const folder = await stage.folder("nodes");
    const [secret, admin] = [join(folder, "secret"), join(folder, "admin")];
    await writeFile(secret, "cluster-secret-0123456789abcdef", { mode: 0o600 });
    await writeFile(admin, ADMIN_TOKEN, { mode: 0o600 });
    const node = async (...args: readonly string[]) => {
      const port = await freePort();
      const shared = ["--cluster-secret-file", secret, "--node-public-url", `http://127.0.0.1:${port}`];
      const identity = ["--redis", `redis://127.0.0.1:${redisPort}`, "--admin-token-file", admin];
      return startServer(stage, { port, identity, args: [...shared, "--drain", "120s", ...args] });
    };
    const withPorts = await node("--tcp-ports", await tcpPorts(1));
    const without = await node();
    const other = await node();
    const target = await startHttpOrigin(stage, "hello");
    const pipes = [`cat1:${target.target}`, `db:tcp://127.0.0.1:${redisPort}`];
    const env = { DUPLEXITY_TOKEN: ADMIN_TOKEN };
    const refused = await spawnUp(stage, without.url, pipes, { env, args: ["--links", "1"] });
    expect(await refused.exited()).toMatchObject({ status: 1 });
    expect(refused.lines).toMatchObject([{ type: "error", code: "DPX_TCP_PORTS" }]);
    const up = await startUp(stage, withPorts.url, pipes, { env, args: ["--links", "1"] });
    expect(await redisCli(portOf(up.pipes[1]?.url ?? ""), ["SET", "cat", "Minka"])).toBe("OK");
    withPorts.process.kill("SIGTERM");
    // Long before its drain is over: nothing runs there.
    expect(await withPorts.process.exited()).toMatchObject({ status: 0 });
    expect(await up.process.nextLine("pipeRefused")).toMatchObject({ name: "db", code: "DPX_TCP_PORTS" });
    expect((await visit(without.port, "cat1.localhost", "/bytes/5")).status).toBe(200);
    const again = await node("--tcp-ports", await tcpPorts(1));
    const back = await up.process.nextLine("pipeRegistered");
    expect(await redisCli(portOf(String(back.url)), ["GET", "cat"])).toBe("Minka");
    for (const { port } of [again, without, other]) {
      expect((await visit(port, "cat1.localhost", "/bytes/5")).status).toBe(200);
    }
  });
});
