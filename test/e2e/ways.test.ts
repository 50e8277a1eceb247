// The ways in and out: TLS in front, proxies between, and every kind of target behind.

import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer, request as httpsRequest } from "node:https";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCertificate } from "../support/certificate.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { spawnUp, startServer, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { closeWithSockets, freePort, listen } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";
import { within } from "../support/wait.ts";

const stage = useStage();

describe("A server with a certificate of its own", () => {
  it("serves visitors and clients over TLS; a client that does not trust it stays out", async () => {
    const { certPath, keyPath, cert } = await createCertificate(stage);
    const port = await freePort();
    const server = await startServer(stage, { port, args: ["--tls-cert", certPath, "--tls-key", keyPath] });
    const origin = await startHttpOrigin(stage);
    const url = `https://localhost:${port}`;
    const trusting = { env: { NODE_EXTRA_CA_CERTS: certPath } };
    const up = await startUp(stage, url, [`cat1:${origin.target}`], trusting);
    expect(up.pipes[0]?.url).toBe(`https://cat1.localhost:${port}`);
    expect(await visitTls(port, "cat1.localhost", cert)).toContain('"X-Forwarded-Proto","https"');

    const stranger = await spawnUp(stage, url, [`cat2:${origin.target}`]);
    expect((await stranger.exited()).status).toBe(3);
    expect(stranger.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_SERVER_UNREACHABLE" });
    expect(server.process.hasExited).toBe(false);
  });

  function visitTls(port: number, hostname: string, ca: string): Promise<string> {
    const answered = new Promise<string>((resolve, reject) => {
      const options = { host: "127.0.0.1", port, ca, servername: hostname, path: "/headers" };
      httpsRequest({ ...options, headers: { host: `${hostname}:${port}` } }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve(text));
      })
        .on("error", reject)
        .end();
    });
    return within(answered, 10_000, "an answer over TLS");
  }
});

describe("A client behind a proxy", () => {
  it("reaches the server by HTTP_PROXY, and not by it when NO_PROXY names the server", async () => {
    const proxy = await startConnectProxy(stage);
    const port = await freePort();
    const url = `http://tunnel.test:${port}`;
    const server = await startServer(stage, { port, args: ["--domain", "tunnel.test", "--public-url", url] });
    const origin = await startHttpOrigin(stage);
    await startUp(stage, url, [`cat1:${origin.target}`], { env: { HTTP_PROXY: proxy.url } });
    expect(new Set(proxy.asked)).toEqual(new Set([`tunnel.test:${port}`]));
    expect((await visit(server.port, "cat1.tunnel.test", "/hello")).body).toBe("hello");

    const direct = await spawnUp(stage, url, [`cat2:${origin.target}`], {
      env: { HTTP_PROXY: proxy.url, NO_PROXY: "tunnel.test" },
    });
    expect((await direct.exited()).status).toBe(3);
  });
});

describe("A target", () => {
  it("may be a UNIX socket", async () => {
    const path = join(await stage.folder("unix"), "service.sock");
    const origin = createHttpServer((_request, response) => response.end("from a UNIX socket"));
    closeWithSockets(stage, origin);
    await new Promise<void>((resolve) => origin.listen(path, resolve));
    expect(await throughTo(`unix:${path}`)).toMatchObject({ status: 200, body: "from a UNIX socket" });
  });

  it("may speak TLS: trusted when its certificate is, or when told not to look", async () => {
    const { cert, key, certPath } = await createCertificate(stage);
    const origin = createHttpsServer({ cert, key }, (_request, response) => response.end("over TLS"));
    closeWithSockets(stage, origin);
    const port = await listen(origin);
    expect(await throughTo(`https+insecure://localhost:${port}`)).toMatchObject({ status: 200, body: "over TLS" });
    expect(await throughTo(`https://localhost:${port}`, { NODE_EXTRA_CA_CERTS: certPath })).toMatchObject({
      status: 200,
    });
    const refused = await throughTo(`https://localhost:${port}`);
    expect(refused.status).toBe(502);
    expect(refused.headers["duplexity-error"]).toBe("DPX_TARGET_TLS");
  });

  async function throughTo(target: string, env: Record<string, string> = {}) {
    const server = await startServer(stage);
    await startUp(stage, server.url, [`cat1:${target}`], { env });
    return visit(server.port, "cat1.localhost", "/");
  }
});
