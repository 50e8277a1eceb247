// A fresh self-signed certificate for `localhost` and `cat1.localhost`, made by openssl. Lives as long as its stage.

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Stage } from "./stage.ts";

const execute = promisify(execFile);

export interface Certificate {
  readonly certPath: string;
  readonly keyPath: string;
  readonly cert: string;
  readonly key: string;
}

export async function createCertificate(stage: Stage): Promise<Certificate> {
  const folder = await stage.folder("tls");
  const [certPath, keyPath] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await execute("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,DNS:cat1.localhost,IP:127.0.0.1"],
    ...["-keyout", keyPath, "-out", certPath],
  ]);
  return {
    certPath,
    keyPath,
    cert: await readFile(certPath, "utf8"),
    key: await readFile(keyPath, "utf8"),
  };
}

/** An authority and what it vouches for: 127.0.0.1, for servers and clients alike. */
export interface Authority {
  readonly caPath: string;
  readonly caKeyPath: string;
  /** @param uses Its extendedKeyUsage. @default any */
  issue(name: string, uses?: string): Promise<Certificate>;
  /** Another one, for which this one vouches. @param days How long it is good for. */
  createBelow(days?: number): Promise<Authority>;
  /** Another certificate of `below`, of the same name and key, by this one. PEM. */
  crossSign(below: Authority): Promise<string>;
}

const BELOW = "/CN=authority below";

export function createAuthority(stage: Stage): Promise<Authority> {
  return createAuthorityOf(stage, [], 2);
}

async function createAuthorityOf(stage: Stage, above: readonly string[], days: number): Promise<Authority> {
  const folder = await stage.folder("authority");
  const [caPath, caKeyPath] = [join(folder, "ca.pem"), join(folder, "ca-key.pem")];
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const name = above.length === 0 ? "/CN=authority" : BELOW;
  await execute("openssl", [
    ...["req", "-x509", ...fresh, "-days", String(days), "-subj", name, ...above],
    ...["-keyout", caKeyPath, "-out", caPath],
  ]);
  return {
    ...{ caPath, caKeyPath },
    createBelow: (days = 2) => createAuthorityOf(stage, ["-CA", caPath, "-CAkey", caKeyPath], days),
    async crossSign(below) {
      const { stdout } = await execute("openssl", [
        ...["req", "-x509", "-key", below.caKeyPath, "-days", "2", "-subj", BELOW],
        ...["-CA", caPath, "-CAkey", caKeyPath],
      ]);
      return stdout;
    },
    async issue(name, uses) {
      const [certPath, keyPath] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)];
      await execute("openssl", [
        ...["req", "-x509", ...fresh, "-days", "2", "-subj", `/CN=${name}`, "-CA", caPath, "-CAkey", caKeyPath],
        ...["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"],
        ...(uses === undefined ? [] : ["-addext", `extendedKeyUsage=${uses}`]),
        ...["-keyout", keyPath, "-out", certPath],
      ]);
      return { certPath, keyPath, cert: await readFile(certPath, "utf8"), key: await readFile(keyPath, "utf8") };
    },
  };
}
