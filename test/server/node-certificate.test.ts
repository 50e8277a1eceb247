import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:tls";
import { describe, expect, it } from "vitest";
import { checkNodeCertificate, checkNodeUse } from "../../src/server/node-certificate.ts";
import type { NodeTls } from "../../src/server/node-tls.ts";
import { type Authority, createAuthority } from "../support/certificate.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const DAY_MS = 86_400_000;

async function tlsOf(authority: Authority, trusted = authority): Promise<NodeTls> {
  const { cert, key } = await authority.issue("node");
  return { cert, key, ca: await readFile(trusted.caPath, "utf8") };
}

/** Whether TLS itself takes it, between two sides that have the same authorities. */
async function isTaken({ cert, key, ca }: NodeTls): Promise<boolean> {
  const options = { cert, key, ca, requestCert: true, maxVersion: "TLSv1.2" } as const;
  const server = createServer(options, (socket) => socket.end());
  server.on("tlsClientError", () => {});
  await once(server.listen(0, "127.0.0.1"), "listening");
  stage.defer(() => server.close());
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const socket = connect({ host: "127.0.0.1", port, cert, key, ca });
  stage.defer(() => socket.destroy());
  return once(socket, "secureConnect").then(
    () => true,
    () => false,
  );
}

describe("checkNodeCertificate", () => {
  it("takes one of the authority's, also when that is one of several", async () => {
    const [ours, other] = [await createAuthority(stage), await createAuthority(stage)];
    const tls = await tlsOf(ours);
    checkNodeCertificate(tls);
    checkNodeCertificate({ ...tls, ca: `${await readFile(other.caPath, "utf8")}${tls.ca}` });
  });

  it("takes one whose chain leads to the authority's", async () => {
    const root = await createAuthority(stage);
    const middle = await root.createBelow();
    const tls = await tlsOf(middle, root);
    const chain = await readFile(middle.caPath, "utf8");
    checkNodeCertificate({ ...tls, cert: `${tls.cert}${chain}` });
    expect(() => checkNodeCertificate(tls)).toThrow("it is not of the authority of the cluster's nodes");
  });

  it("takes one of an authority that several vouch for as TLS does: the first that fits counts", async () => {
    const [ours, other] = [await createAuthority(stage), await createAuthority(stage)];
    const middle = await other.createBelow();
    const tls = await tlsOf(middle, ours);
    const [theirs, cross] = [await readFile(middle.caPath, "utf8"), await ours.crossSign(middle)];
    const otherRoot = await readFile(other.caPath, "utf8");
    const cases: readonly [chain: string, authorities: string, isRight: boolean][] = [
      [`${cross}${theirs}`, tls.ca, true],
      [`${theirs}${cross}`, tls.ca, false],
      // What lies with the authorities goes before what comes along, and alone leads on.
      [theirs, `${cross}${tls.ca}`, true],
      [cross, `${theirs}${tls.ca}`, false],
      [cross, `${theirs}${tls.ca}${otherRoot}`, true],
      ["", `${cross}${theirs}${tls.ca}`, true],
    ];
    for (const [chain, authorities, isRight] of cases) {
      const node = { ...tls, cert: `${tls.cert}${chain}`, ca: authorities };
      expect(await isTaken(node)).toBe(isRight);
      const check = (): void => checkNodeCertificate(node);
      if (isRight) check();
      else expect(check).toThrow("it is not of the authority of the cluster's nodes");
    }
  });

  it("refuses one whose authority's own authority is not there: no node would take it", async () => {
    const middle = await (await createAuthority(stage)).createBelow();
    const tls = await tlsOf(middle);
    expect(await isTaken(tls)).toBe(false);
    const check = (): void => checkNodeCertificate(tls);
    expect(check).toThrow('the authority "CN=authority below" is below another one, which is not there');
    expect(check).toThrow(expect.objectContaining({ hint: expect.stringContaining('of "CN=authority" to the file') }));
  });

  it("refuses one whose authority has run out, unless another one of the same key is good", async () => {
    const root = await createAuthority(stage);
    const middle = await root.createBelow(1);
    const tls = await tlsOf(middle, root);
    const chain = await readFile(middle.caPath, "utf8");
    const later = Date.now() + 1.5 * DAY_MS;
    const check = (): void => checkNodeCertificate({ ...tls, cert: `${tls.cert}${chain}` }, later);
    expect(check).toThrow(/its authority "CN=authority below" has run out on .* GMT/);
    const cross = await root.crossSign(middle);
    checkNodeCertificate({ ...tls, cert: `${tls.cert}${chain}${cross}` }, later);
  });

  it("refuses one of an authority that has the same name", async () => {
    const tls = await tlsOf(await createAuthority(stage), await createAuthority(stage));
    expect(() => checkNodeCertificate(tls)).toThrow("it is not of the authority of the cluster's nodes");
  });

  it("refuses one that has run out, and one of a later time", async () => {
    const tls = await tlsOf(await createAuthority(stage));
    expect(() => checkNodeCertificate(tls, Date.now() + 3 * DAY_MS)).toThrow(/it has run out on .* GMT/);
    expect(() => checkNodeCertificate(tls, Date.now() - DAY_MS)).toThrow(/it is good from .* GMT on/);
  });

  it("refuses files that have none", async () => {
    const tls = await tlsOf(await createAuthority(stage));
    expect(() => checkNodeCertificate({ ...tls, cert: "" })).toThrow("there is none in it");
    expect(() => checkNodeCertificate({ ...tls, ca: "no PEM" })).toThrow("there is no authority to be of");
    const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const check = (): void => checkNodeCertificate({ ...tls, ca: broken });
    expect(check).toThrow(expect.objectContaining({ code: "DPX_USAGE", hint: expect.stringContaining("-ca has a") }));
  });
});

describe("checkNodeUse", () => {
  it("takes one that is for the node's host, and for servers and clients or with nothing said of that", async () => {
    const authority = await createAuthority(stage);
    const ca = await readFile(authority.caPath, "utf8");
    for (const uses of [undefined, "serverAuth,clientAuth", "serverAuth,clientAuth,anyExtendedKeyUsage"]) {
      const { cert, key } = await authority.issue("node", uses);
      checkNodeUse({ cert }, "127.0.0.1");
      expect(await isTaken({ cert, key, ca })).toBe(true);
    }
  });

  it("refuses one of another host, with both names", async () => {
    const certificate = await (await createAuthority(stage)).issue("node");
    for (const host of ["127.0.0.2", "node7.example.com", "::1"]) {
      expect(() => checkNodeUse(certificate, host)).toThrow(
        `other nodes reach this one at "${host}", and it is for IP Address:127.0.0.1`,
      );
    }
  });

  it.each([
    ["serverAuth", "clients"],
    ["clientAuth", "servers"],
    ["anyExtendedKeyUsage", "servers"],
  ])("refuses one that is good for %s alone: TLS would, too", async (uses, what) => {
    const authority = await createAuthority(stage);
    const { cert, key } = await authority.issue("node", uses);
    expect(() => checkNodeUse({ cert }, "127.0.0.1")).toThrow(`it is not good for ${what}`);
    const ca = await readFile(authority.caPath, "utf8");
    expect(await isTaken({ cert, key, ca })).toBe(false);
  });
});
