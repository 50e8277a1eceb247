import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { checkNodeCertificate } from "../../src/server/node-certificate.ts";
import type { NodeTls } from "../../src/server/node-tls.ts";
import { type Authority, createAuthority } from "../support/certificate.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const DAY_MS = 86_400_000;

async function tlsOf(authority: Authority, trusted = authority): Promise<NodeTls> {
  const { cert, key } = await authority.issue("node");
  return { cert, key, ca: await readFile(trusted.caPath, "utf8") };
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
