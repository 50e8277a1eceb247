// How a node is reached: by visitors and clients, by other nodes, by itself. Known in full once its listeners are open.

import type { AddressInfo, Server } from "node:net";
import { DuplexityError } from "../protocol/index.ts";
import { isLoopbackHost } from "./identity/index.ts";
import { hostInUrl } from "./listen.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";

type Options = Pick<
  ResolvedServeOptions,
  "cluster" | "domain" | "internalListen" | "internalTls" | "listen" | "publicUrl" | "tls"
>;

export class NodeAddress {
  readonly #options: Options;
  #publicUrl: URL;
  #internalUrl = "";

  constructor(options: Options) {
    this.#options = options;
    const { publicUrl, tls, listen } = options;
    // Before the listener is open nobody asks for it.
    this.#publicUrl = publicUrl ?? urlOf(tls !== null, listen.host, listen.port);
  }

  /** `http://127.0.0.1:8080` */
  get publicUrl(): string {
    return this.#publicUrl.origin;
  }

  get internalUrl(): string {
    return this.#internalUrl;
  }

  /** How other nodes reach the internal listener. */
  get nodeUrl(): string {
    return this.#options.cluster?.nodeUrl ?? this.#internalUrl;
  }

  /** Where clients reach this very node's hub; null where they cannot. */
  get ownDialerUri(): string | null {
    const { cluster } = this.#options;
    return cluster?.nodePublicUrl === undefined ? null : dialerAt(cluster.nodePublicUrl);
  }

  /** The listeners are open, at these ports. */
  opened(ports: { readonly open: number; readonly internal: number }): void {
    const { internalListen, internalTls, publicUrl, tls, listen } = this.#options;
    this.#internalUrl = urlOf(internalTls !== null, internalListen.host, ports.internal).origin;
    if (publicUrl === null) this.#publicUrl = urlOf(tls !== null, listen.host, ports.open);
  }

  /** What people and clients call this server. */
  originAt(port: number): URL {
    const { publicUrl, tls, domain } = this.#options;
    return publicUrl ?? urlOf(tls !== null, domain, port);
  }

  /** Without a public URL: the very address at which the client has reached this server. */
  dataPlaneUri(host: string): string {
    const { publicUrl, tls } = this.#options;
    if (this.ownDialerUri !== null) return this.ownDialerUri;
    if (publicUrl !== null) return `${publicUrl.protocol === "https:" ? "wss" : "ws"}://${publicUrl.host}/dialer`;
    const uri = `${tls === null ? "ws" : "wss"}://${host}/dialer`;
    return URL.canParse(uri) ? uri : `${this.#publicUrl.origin.replace(/^http/, "ws")}/dialer`;
  }

  /** What a visitor opens. */
  pipeUrl(hostname: string, tcpPort: number | undefined): string {
    if (tcpPort !== undefined) return `tcp://${this.#options.domain}:${tcpPort}`;
    const { protocol, port } = this.#publicUrl;
    return `${protocol}//${hostname}${port === "" ? "" : `:${port}`}`;
  }

  /** What visitors see, when that is not the socket's own. */
  forwarding(): { publicScheme?: "http" | "https"; publicPort?: number } {
    const { publicUrl } = this.#options;
    if (publicUrl === null) return {};
    const publicScheme = publicUrl.protocol === "https:" ? "https" : "http";
    const publicPort = publicUrl.port === "" ? (publicScheme === "https" ? 443 : 80) : Number(publicUrl.port);
    return { publicScheme, publicPort };
  }
}

/** How this machine itself reaches a listener; null while it is not open. */
export function loopbackOf(address: ReturnType<Server["address"]>): { host: string; port: number } | null {
  if (address === null || typeof address === "string") return null;
  const { address: host, port } = address;
  // All addresses: among them the loopback one.
  if (host === "0.0.0.0") return { host: "127.0.0.1", port };
  return { host: host === "::" ? "::1" : host, port };
}

/** A name such as localhost leads where /etc/hosts says. @throws {DuplexityError} `DPX_USAGE` */
export function checkLoopback({ address }: AddressInfo): void {
  if (isLoopbackHost(address)) return;
  throw new DuplexityError("DPX_USAGE", `Cannot start with --no-auth: ${address} can be reached from other machines`, {
    hint: "Listen on 127.0.0.1.",
  });
}

/** `https://node1.example.com` -> `wss://node1.example.com/dialer` */
function dialerAt(url: string): string {
  return new URL("/dialer", url).href.replace(/^http/, "ws");
}

function urlOf(isTls: boolean, host: string, port: number): URL {
  return new URL(`${isTls ? "https" : "http"}://${hostInUrl(host)}:${port}`);
}
