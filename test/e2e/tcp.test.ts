// TCP pipes: a public port, raw bytes, both directions closing apart.

import { describe, expect, it } from "vitest";
import { createHome, portOf, type RunningUp, startServer, startUp } from "../support/duplexity.ts";
import { redisCli, startRedis } from "../support/redis.ts";
import { seededBytes } from "../support/seeded.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { startTcpOrigin } from "../support/tcp-origin.ts";
import { RawVisitor } from "../support/visitor.ts";

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
});
