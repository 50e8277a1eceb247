// What an operator may not know about the addresses of a node: refused where it is dangerous, else only said.

import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import { DuplexityError } from "../protocol/index.ts";
import { untimelyAt } from "./node-certificate.ts";
import { publicAddressOf } from "./private-networks.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";

const TRUST_HINT =
  "everybody seems to come from this machine, and shares its limits: name what ends TLS in front, --trust-proxy 127.0.0.1";
const TLS_HINT = "use --tls-cert and --tls-key, or put TLS in front and name it: --public-url https://…";

/** @throws {DuplexityError} `DPX_USAGE` if strangers can reach the internal listener, and nobody said that they may. */
export function checkInternal(
  { address }: Pick<AddressInfo, "address">,
  { mayInternalBePublic }: Pick<ResolvedServeOptions, "mayInternalBePublic">,
): void {
  const reached = mayInternalBePublic ? null : publicAddressOf(address);
  if (reached === null) return;
  const where = reached === address ? address : `${address}, which is also ${reached}`;
  throw new DuplexityError("DPX_USAGE", `Cannot listen for other nodes on ${where}: strangers can reach that address`, {
    hint: "Name a private one with --internal-listen; if a firewall keeps them out, add --internal-public.",
  });
}

export interface WarnAbout {
  /** What people and clients call this server. */
  readonly origin: URL;
  readonly internal: Pick<AddressInfo, "address">;
  /** Whether a listener can be reached from this machine only. */
  readonly isLocal: { readonly open: boolean; readonly internal: boolean };
}

/** @param now Unix time in ms. @default Date.now */
export function warnOf(
  options: ResolvedServeOptions,
  { origin, internal, isLocal }: WarnAbout,
  now: number = Date.now(),
): readonly string[] {
  const { publicUrl, tls, trustProxy, identity } = options;
  const warnings: string[] = [];
  if (!isLocal.internal) {
    warnings.push(
      `--internal-listen ${internal.address} can be reached from other machines: they can ask for its health, a proxy in front of it for more`,
    );
  }
  // A terminator on this machine, and nobody said so.
  const isBehindTls = publicUrl?.protocol === "https:" && tls === null && isLocal.open;
  if (isBehindTls && trustProxy.rules.length === 0) warnings.push(TRUST_HINT);
  if (identity.kind === "accounts" && origin.protocol === "http:" && !isLocal.open) {
    warnings.push(`${origin.origin} takes passwords and tokens unencrypted: ${TLS_HINT}`);
  }
  // Not refused: what visitors make of it is theirs, and after a restart a node with it is more than none.
  const untimely = tls === null ? null : untimelyAt(new X509Certificate(tls.cert), now);
  if (untimely !== null) {
    warnings.push(`visitors and clients refuse the certificate of --tls-cert: it ${untimely.why}. ${untimely.hint}`);
  }
  return warnings;
}
