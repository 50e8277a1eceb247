// The server's address as a person gives it, and the sockets' addresses that follow from it. Pure.

import { isIP } from "node:net";
import { DuplexityError } from "../protocol/index.ts";

const SCHEMES: ReadonlyMap<string, string> = new Map([
  ["http:", "ws:"],
  ["https:", "wss:"],
  ["ws:", "ws:"],
  ["wss:", "wss:"],
]);

/**
 * `ws(s)://host[:port]/control` for `https://tunnel.example.com`. Without a scheme it is https, on this machine http.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it is not a server's address.
 */
export function controlUrl(server: string): URL {
  const text = server.trim();
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${schemeFor(text)}//${text}`;
  if (text === "" || !URL.canParse(withScheme)) throw invalid(server, "it is not a URL");
  const url = new URL(withScheme);
  const scheme = SCHEMES.get(url.protocol);
  if (scheme === undefined) throw invalid(server, `"${url.protocol}//" is not http:// or https://`);
  if (url.username !== "" || url.password !== "") throw invalid("…", "it has a user or a password");
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") throw invalid(server, "it has a path");
  url.protocol = scheme;
  url.pathname = "/control";
  return url;
}

/**
 * Where to dial the data plane.
 *
 * @throws {DuplexityError} `DPX_PROTOCOL` if it would be less protected than the control socket was.
 */
export function dialerUrl(control: URL, dataPlaneUri: string): URL {
  const url = new URL(dataPlaneUri);
  if (control.protocol === "wss:" && url.protocol !== "wss:") {
    throw new DuplexityError(
      "DPX_PROTOCOL",
      `Cannot dial ${url.origin}: ${control.host} was reached over TLS and offers a data plane without it`,
      { hint: "The server has to be started with --public-url https://…" },
    );
  }
  return url;
}

/** For messages: `https://tunnel.example.com`. */
export function shownServer(url: URL): string {
  return `${url.protocol === "wss:" ? "https" : "http"}://${url.host}`;
}

/** Whether `address`, of a socket's other end, is this machine. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return false;
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

function schemeFor(text: string): string {
  const host = /^\[?([^/\]]*?)\]?(?::\d+)?(?:\/|$)/.exec(text)?.[1] ?? "";
  const isHere = host === "localhost" || host.endsWith(".localhost") || (isIP(host) !== 0 && isLoopbackAddress(host));
  return isHere ? "http:" : "https:";
}

function invalid(server: string, why: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot use "${server}" as the server: ${why}`, {
    hint: "Write https://tunnel.example.com, or http://127.0.0.1:8080 for one on this machine.",
  });
}
