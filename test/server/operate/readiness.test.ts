// /readyz of a whole server, and each reason why a node is not ready.

import { createServer, type Server as TcpServer } from "node:net";
import { describe, expect, it } from "vitest";
import { serve } from "../../../src/server/index.ts";
import { Readiness, type ReadinessOptions } from "../../../src/server/operate/index.ts";
import { createCertificate } from "../../support/certificate.ts";
import { closeWithSockets, freePort, listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";

const stage = useStage();
const ANY = { host: "127.0.0.1", port: 0 };

async function listener(
  answer: string | null,
): Promise<{ server: TcpServer; address: { host: string; port: number } }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      if (answer !== null) socket.end(answer);
    });
  });
  closeWithSockets(stage, server);
  return { server, address: { host: "127.0.0.1", port: await listen(server) } };
}

async function readiness(options: Partial<ReadinessOptions> = {}): Promise<Readiness> {
  const { address } = await listener("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  return new Readiness({
    isDraining: () => false,
    store: { get: async () => null },
    isRegistryReachable: () => true,
    publicAddress: () => address,
    ...{ isTls: false, domain: "example.test", ...options },
  });
}

const never = (): Promise<never> => new Promise(() => {});

describe("Readiness", () => {
  it("is ready when store and public listener answer", async () => {
    await (await readiness()).check();
  });

  it("is not while the registry does not answer, but for who ignores the store", async () => {
    const deaf = await readiness({ isRegistryReachable: () => false });
    await expect(deaf.check()).rejects.toMatchObject({ code: "DPX_STORE" });
    await deaf.check({ ignoreStore: true });
  });

  it("is not while the node drains", async () => {
    const draining = await readiness({ isDraining: () => true });
    await expect(draining.check()).rejects.toMatchObject({ code: "DPX_DRAINING" });
  });

  it("is not while the store fails, unless it is to be ignored", async () => {
    const failing = await readiness({ store: { get: () => Promise.reject(new Error("gone")) } });
    await expect(failing.check()).rejects.toMatchObject({ code: "DPX_STORE", message: "The store fails: gone" });
    await failing.check({ ignoreStore: true });
  });

  it("does not wait for a store that hangs", async () => {
    const hanging = await readiness({ store: { get: never }, timeoutMs: 20 });
    await expect(hanging.check()).rejects.toMatchObject({
      code: "DPX_STORE",
      message: "The store does not answer within 20 ms",
    });
  });

  it("is not when the public listener is gone, says nothing, or no HTTP", async () => {
    const gone = await freePort();
    const silent = await listener(null);
    const other = await listener("SSH-2.0-OpenSSH_9.2\r\n");
    const addresses = [null, { host: "127.0.0.1", port: gone }, silent.address, other.address];
    for (const address of addresses) {
      const broken = await readiness({ publicAddress: () => address, timeoutMs: 200 });
      await expect(broken.check()).rejects.toMatchObject({ code: "DPX_SERVER_UNREACHABLE" });
    }
  });

  it("looks once for all who ask within a second, and again after it", async () => {
    let looks = 0;
    let now = 0;
    const counted = await readiness({
      store: {
        get: async () => {
          looks += 1;
          return null;
        },
      },
      now: () => now,
    });
    await Promise.all([counted.check(), counted.check()]);
    await counted.check();
    expect(looks).toBe(1);
    now = 1_001;
    await counted.check();
    expect(looks).toBe(2);
  });
});

describe("/readyz", () => {
  it("says ready of a server that serves, with and without TLS", async () => {
    const { cert, key } = await createCertificate(stage);
    for (const tls of [{}, { tls: { cert, key } }]) {
      const server = await serve({ identity: { kind: "no-auth" }, listen: ANY, internalListen: ANY, ...tls });
      stage.defer(() => server.close());
      const answer = await fetch(`${server.internalUrl}/readyz`);
      expect([answer.status, await answer.text()]).toEqual([200, "ready\n"]);
    }
  });
});
