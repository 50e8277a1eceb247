// What signals do to a running server, on the built command.

import { describe, expect, it } from "vitest";
import { startServer } from "../support/duplexity.ts";
import { useStage } from "../support/stage.ts";
import { startTcpOrigin } from "../support/tcp-origin.ts";
import { startTunnel } from "../support/tunnel.ts";
import { openVisit, RawVisitor } from "../support/visitor.ts";

const stage = useStage();

describe("duplexity serve", () => {
  it("answers 0 for one signal when nothing runs", async () => {
    const { process } = await startServer(stage);
    process.kill("SIGTERM");
    expect(await process.exited()).toEqual({ status: 0, signal: null });
    expect(process.lines.map((line) => line.type)).toEqual(["listening", "draining", "stopped"]);
    // Said once, by the command: the server's own log need not say it again.
    expect(process.stderr).not.toMatch(/drain/i);
  });

  it("answers 130 for the second signal, at once, whatever runs", async () => {
    const tunnel = await startTunnel(stage);
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/events");
    response.on("error", () => {});
    await stream;
    const { process } = tunnel.server;
    process.kill("SIGINT");
    await process.nextLine("draining");
    process.kill("SIGINT");
    expect(await process.exited(3_000)).toEqual({ status: 130, signal: null });
    expect(process.lines.at(-1)?.type).toBe("draining");
  });

  it("resets an answer without a length at the second signal, so that it does not look complete", async () => {
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\n\r\nhalf"));
    });
    const { server, hostname } = await startTunnel(stage, { target: `http://127.0.0.1:${origin.port}` });
    const visitor = await RawVisitor.open(stage, server.port);
    visitor.write(`GET / HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    await visitor.readUntil("half");
    server.process.kill("SIGINT");
    await server.process.nextLine("draining");
    server.process.kill("SIGINT");
    const rest = await visitor.readAll();
    const exit = await server.process.exited(3_000);
    // Together, so that a server that died of something else, without a reset, is told apart.
    expect({ rest, exit, error: visitor.error, stderr: server.process.stderr }).toMatchObject({
      ...{ rest: "", exit: { status: 130, signal: null }, error: { code: "ECONNRESET" } },
    });
  });

  it("ends what runs when the drain's time is over, and answers 0", async () => {
    const tunnel = await startTunnel(stage, { serverArgs: ["--drain", "200ms"] });
    const stream = tunnel.origin.nextEventStream();
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/events");
    response.on("error", () => {});
    await stream;
    tunnel.server.process.kill("SIGTERM");
    expect(await tunnel.server.process.exited(5_000)).toEqual({ status: 0, signal: null });
  });
});
