// Which proxy the environment asks for, if any: HTTP_PROXY, HTTPS_PROXY and
// NO_PROXY, or their lower-case forms. Reads the environment only, dials nothing.

import { DuplexityError } from "../protocol/index.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a socket to `url` (`ws:` as HTTP, `wss:` as HTTPS), or null for a direct connection.
 *
 * @throws {DuplexityError} `DPX_USAGE` if the variable is not the URL of an HTTP proxy.
 */
export function proxyFor(url: URL, env: Environment = process.env): URL | null {
  const variable = url.protocol === "wss:" ? "https_proxy" : "http_proxy";
  const value = (env[variable] ?? env[variable.toUpperCase()] ?? "").trim();
  if (value === "" || isExcepted(url, env.no_proxy ?? env.NO_PROXY ?? "")) return null;
  const text = value.includes("://") ? value : `http://${value}`;
  const proxy = URL.canParse(text) ? new URL(text) : null;
  if (proxy !== null && (proxy.protocol === "http:" || proxy.protocol === "https:")) return proxy;
  throw new DuplexityError("DPX_USAGE", `Cannot use ${variable.toUpperCase()}: it is not http://host:port`, {
    hint: "Only HTTP proxies are supported, not SOCKS.",
  });
}

/** `*`, `example.com` and `.example.com` (with all below it), `127.0.0.1`, `[::1]`, each with an optional `:port`. */
function isExcepted(url: URL, noProxy: string): boolean {
  const host = bareHost(url.hostname);
  const port = url.port === "" ? (url.protocol === "wss:" ? "443" : "80") : url.port;
  for (const item of noProxy.toLowerCase().split(/[,\s]+/)) {
    if (item === "") continue;
    if (item === "*") return true;
    const [, pattern = item, itemPort] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(item) ?? [];
    if (itemPort !== undefined && itemPort !== port) continue;
    const suffix = bareHost(pattern).replace(/^\*?\./, "");
    if (host === suffix || host.endsWith(`.${suffix}`)) return true;
  }
  return false;
}

function bareHost(host: string): string {
  return host.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}
