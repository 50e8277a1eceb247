// A real browser at a pipe with a sign-in, on plain http at loopback: it keeps the cookies for their one hostname.

import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { createAttempts } from "../../src/server/attempts.ts";
import { createProxy } from "../../src/server/proxy/index.ts";
import { FakeRoutes } from "../server/proxy/fake-routes.ts";
import { startChromium } from "../support/chromium.ts";
import { closeWithSockets, listen } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { startScriptedOrigin } from "../support/tcp-origin.ts";

const stage = useStage();
const PAGE = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello";

async function start() {
  const routes = new FakeRoutes(stage);
  const origin = await startScriptedOrigin(stage, [PAGE]);
  for (const name of ["cat", "dog"]) routes.register(`${name}.localhost`, origin.port, { gate: { login: true } });
  let port = 0;
  const proxy = createProxy({
    routes,
    domain: "localhost",
    nodeId: "n1",
    gates: {
      secret: Buffer.alloc(32, 7),
      attempts: createAttempts(),
      signIn: {
        authorizeUrl: ({ hostname, state }) => `http://localhost:${port}/auth?at=${hostname}&state=${state}`,
        redeem: async ({ code }) => (code === "good" ? { userId: "u_ada", name: "ada", returnTo: "/page?x=1" } : null),
        isWelcome: () => true,
      },
    },
    // Auth, which knows the person already.
    serveOwn: (socket, head) => {
      const [, hostname, state] = /at=([^&]+)&state=(\S+)/.exec(head.toString("latin1")) ?? [];
      const location = `http://${hostname}:${port}/.duplexity/signed-in?code=good&state=${state}`;
      socket.end(`HTTP/1.1 303 See Other\r\nLocation: ${location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    },
  });
  const server = createServer({ noDelay: true }, (socket) => proxy.handleConnection(socket));
  stage.defer(() => proxy.close());
  closeWithSockets(stage, server);
  port = await listen(server);
  return { port, origin };
}

describe("a pipe with a sign-in", () => {
  it("lets a browser in by cookies of that hostname alone, which no script reads and the target does not see", async () => {
    const { port, origin } = await start();
    const browser = await startChromium(stage);
    const context = await browser.newContext();
    const page = await context.newPage();
    const answer = await page.goto(`http://cat.localhost:${port}/page?x=1`);
    expect([answer?.status(), page.url()]).toEqual([200, `http://cat.localhost:${port}/page?x=1`]);
    expect(await page.evaluate("document.cookie")).toBe("");
    expect(await page.evaluate("fetch('/again').then(({ status }) => status)")).toBe(200);
    expect(origin.received()).not.toContain("__Host-");
    const cookies = (await context.cookies()).map(({ name, domain, httpOnly, secure, sameSite, path }) => {
      return { name, domain, httpOnly, secure, sameSite, path };
    });
    const flags = { domain: "cat.localhost", httpOnly: true, secure: true, sameSite: "Lax", path: "/" };
    expect(cookies.sort((one, other) => one.name.localeCompare(other.name))).toEqual([
      { name: "__Host-duplexity-sign-in", ...flags },
      { name: "__Host-duplexity-visitor", ...flags },
    ]);
    // From the other pipe's page, a script has nothing to show there: it has not signed in at that hostname.
    const script = `fetch('http://dog.localhost:${port}/', { credentials: 'include', mode: 'no-cors' }).then(() => 'sent')`;
    expect(await page.evaluate(script)).toBe("sent");
    expect(origin.received()).not.toContain("Host: dog.localhost");
    expect((await page.goto(`http://dog.localhost:${port}/page?x=1`))?.status()).toBe(200);
    expect((await context.cookies()).map(({ domain }) => domain).sort()).toEqual([
      ...["cat.localhost", "cat.localhost", "dog.localhost", "dog.localhost"],
    ]);
  });
});
