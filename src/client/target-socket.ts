// Dials a pipe's target, and says in our words why it could not. Passes no bytes.

import { connect as connectNet, isIP, type LookupFunction, type OnReadOpts, type Socket } from "node:net";
import {
  type ConnectionOptions,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import type { ErrorCode } from "../protocol/index.ts";
import { errnoCodes } from "./errno.ts";
import type { Target } from "./target.ts";

/**
 * Low, so that `drain` follows every write that the kernel did not take at once: what a stream may still be owed in
 * credit without a `drain` is less than this, and less than half of the smallest window.
 */
const WRITE_HIGH_WATER_BYTES = 4_096;

/** How long an address has before the next one is tried, too. */
const ATTEMPT_MS = 1_000;
/** Here a refusal comes at once. What takes long is a busy target, or this process: neither is a reason to turn away. */
const LOOPBACK_ATTEMPT_MS = 60_000;

/**
 * Starts to connect. `connect`, or `secureConnect` for TLS, or `error` follows. Reading goes to `reader`; the socket
 * is half-open capable and without Nagle's delay.
 */
export function connectTarget(target: Target, reader: OnReadOpts): Socket {
  const { address } = target;
  const options = { allowHalfOpen: true, noDelay: true, onread: reader, writableHighWaterMark: WRITE_HIGH_WATER_BYTES };
  if (address.kind === "unix") return connectNet({ ...options, path: address.path });
  const { host, port } = address;
  // Dev servers listen on one of 127.0.0.1 and ::1 only, which one is chance: whichever accepts is right.
  const isLoopback = isLoopbackName(host);
  const to = {
    ...{ host, port, autoSelectFamily: true },
    autoSelectFamilyAttemptTimeout: isLoopback ? LOOPBACK_ATTEMPT_MS : ATTEMPT_MS,
    ...(isLoopback ? { lookup: lookupLoopback } : {}),
  };
  if (target.tls === "none") return connectNet({ ...options, ...to });
  // Beyond its declared options, tls.connect passes on what net.connect takes (`onread`, `highWaterMark`).
  const secure: ConnectionOptions = {
    ...options,
    ...to,
    ...{ highWaterMark: WRITE_HIGH_WATER_BYTES },
    secureContext: secureContext(),
    rejectUnauthorized: target.tls === "verified",
    // RFC 6066 §3: an address is no server name.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ["http/1.1"],
  };
  return connectTls(secure);
}

/** The event after which the target has accepted. */
export function acceptEvent(target: Target): "connect" | "secureConnect" {
  return target.tls === "none" ? "connect" : "secureConnect";
}

/** RFC 6761 §6.3: `localhost` and all below it are this machine, whatever a resolver says. */
function isLoopbackName(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost");
}

const LOOPBACK = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

const lookupLoopback: LookupFunction = (_host, options, callback) => {
  if (options.all === true) callback(null, LOOPBACK);
  else callback(null, "127.0.0.1", 4);
};

let context: SecureContext | undefined;

/** One for all: each would read all the roots again. */
function secureContext(): SecureContext {
  context ??= createSecureContext();
  return context;
}

const REFUSED = new Set(["ECONNREFUSED", "ENOENT", "ENOTSOCK"]);
const UNREACHABLE = new Set([
  ...["ENOTFOUND", "EAI_AGAIN", "EAI_NODATA", "EAI_NONAME", "EAI_FAIL", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH"],
  ...["ENETDOWN", "EADDRNOTAVAIL", "EACCES", "EPERM", "EMFILE", "ENFILE", "EINVAL", "EAFNOSUPPORT", "ENOBUFS"],
]);

/** Why `socket`, which has not accepted yet, failed with `error`. */
export function connectFailure(target: Target, error: Error): ErrorCode {
  const codes = errnoCodes(error);
  if (codes.some((code) => REFUSED.has(code))) return "DPX_TARGET_REFUSED";
  if (codes.includes("ETIMEDOUT")) return "DPX_TARGET_TIMEOUT";
  if (codes.some((code) => UNREACHABLE.has(code))) return "DPX_TARGET_UNREACHABLE";
  // What is left of a TLS target's errors comes from the handshake: certificates, versions, a reset in the middle of it.
  return target.tls === "none" ? "DPX_TARGET_UNREACHABLE" : "DPX_TARGET_TLS";
}

/** Closes with an RST where that is possible, so that the target does not take a cut for an end. */
export function abortSocket(socket: Socket, target: Target): void {
  if (target.protocol === "tcp" && !isTls(socket) && !socket.connecting) socket.resetAndDestroy();
  else socket.destroy();
}

function isTls(socket: Socket): socket is TLSSocket {
  return "encrypted" in socket;
}
