import { describe, expect, it } from "vitest";
import { FaultProxy } from "./fault-proxy.ts";
import { useStage } from "./stage.ts";
import { startTcpOrigin } from "./tcp-origin.ts";
import { RawVisitor } from "./visitor.ts";

const stage = useStage();
const echo = () =>
  startTcpOrigin(stage, (socket) => {
    socket.pipe(socket);
  });

describe("FaultProxy", () => {
  it("passes bytes and half-closes unchanged", async () => {
    const proxy = await FaultProxy.start(stage, (await echo()).port);
    const visitor = await RawVisitor.open(stage, proxy.port);
    visitor.write("some bytes");
    visitor.end();
    expect(await visitor.readAll()).toBe("some bytes");
  });

  it("cuts both ends of every connection", async () => {
    const origin = await echo();
    const proxy = await FaultProxy.start(stage, origin.port);
    const visitor = await RawVisitor.open(stage, proxy.port);
    visitor.write("x");
    await visitor.readUntil("x");
    const gone = new Promise((resolve) => origin.sockets[0]?.on("close", resolve));
    expect(proxy.cutAll()).toBe(1);
    await gone;
    await visitor.readAll();
    expect(visitor.error).toMatchObject({ code: "ECONNRESET" });
  });

  it("swallows what is open and passes what comes new", async () => {
    const origin = await echo();
    const proxy = await FaultProxy.start(stage, origin.port);
    const old = await RawVisitor.open(stage, proxy.port);
    old.write("1");
    await old.readUntil("1");
    proxy.blackhole();
    old.write("2");
    old.end();
    const fresh = await RawVisitor.open(stage, proxy.port);
    fresh.write("3");
    await fresh.readUntil("3");
    expect(old.received.length).toBe(0);
    expect(old.hasEnded).toBe(false);
  });

  it("delays each direction and throttles", async () => {
    const proxy = await FaultProxy.start(stage, (await echo()).port);
    proxy.delayMs = 50;
    const visitor = await RawVisitor.open(stage, proxy.port);
    const start = performance.now();
    visitor.write("x");
    await visitor.readUntil("x");
    expect(performance.now() - start).toBeGreaterThan(95);
    proxy.delayMs = 0;
    proxy.bytesPerSecond = 10_000;
    const second = performance.now();
    visitor.write(Buffer.alloc(1_000, 65));
    visitor.end();
    expect((await visitor.readAll()).length).toBe(1_000);
    expect(performance.now() - second).toBeGreaterThan(95);
  });
});
