// How the server's own endpoints take a socket over, with node:http, as `ProxyOptions.serveOwn` says.

import { once } from "node:events";
import { createServer } from "node:http";
import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin } from "../../support/tcp-origin.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();

describe("serveOwn", () => {
  it("gives node:http a socket that serves bodies and upgrades, also after a pipe's request", async () => {
    const own = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      response.setHeader("connection", "close");
      response.end(`${request.method} ${request.url} ${body}`);
    });
    own.on("upgrade", (_request, socket, head) => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n${head}`);
      socket.pipe(socket);
    });
    const { visitor, routes, settled } = await startProxy(stage, {
      serveOwn: (socket, head) => {
        socket.unshift(head);
        own.emit("connection", socket);
        socket.resume();
      },
    });
    const origin = await startScriptedOrigin(stage, ["HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npipe"]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    expect((await readAnswer(peer)).body).toBe("pipe");
    peer.write("POST /api HTTP/1.1\r\nHost: example.test\r\nContent-Length: 8\r\n\r\nbody");
    await new Promise(setImmediate);
    peer.write("more");
    expect((await readAnswer(peer)).body).toBe("POST /api bodymore");
    expect(await peer.readAll()).toBe("");

    const upgrading = await visitor();
    upgrading.write(`${get("/control", "example.test", "Connection: Upgrade\r\nUpgrade: x\r\n")}early`);
    expect((await readAnswer(upgrading)).status).toBe(101);
    expect(await upgrading.readBytes(5)).toBe("early");
    upgrading.write("echo");
    expect(await upgrading.readBytes(4)).toBe("echo");
    upgrading.socket.destroy();
    await once(upgrading.socket, "close");
    await settled();
  });
});
