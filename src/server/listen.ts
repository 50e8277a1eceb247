// Opens and closes listeners; what fails says which flag would help.

import type { AddressInfo, Server } from "node:net";
import { DuplexityError } from "../protocol/index.ts";
import type { ListenAddress } from "./index.ts";

/**
 * Connections that wait for the event loop; Linux lets no more than net.core.somaxconn wait, 4,096 by itself. Node's own 511
 * are too few when all clients of a dead node come at once: a SYN that finds no place comes again after 1, 3, 7 and 15 s,
 * a visitor's as well.
 */
export const LISTEN_BACKLOG = 4_096;

/**
 * Resolves with the real address, which has the real port when 0 was asked for.
 *
 * @param flag The command line's name for this address, for the hint.
 * @throws {DuplexityError} `DPX_LISTEN`
 */
export function openListener(server: Server, { host, port }: ListenAddress, flag: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void =>
      reject(listenError(cause, `${hostInUrl(host)}:${port}`, flag));
    server.once("error", onError);
    server.listen({ host, port, backlog: LISTEN_BACKLOG }, () => {
      server.off("error", onError);
      const address = server.address();
      if (address !== null && typeof address !== "string") resolve(address);
      else reject(new DuplexityError("DPX_LISTEN", `Cannot listen on ${host}: it has no port`));
    });
  });
}

/** Stops listening; resolves when its last connection has ended. Also for one that never listened. */
export function closeListener(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

/** `host` as it stands in a URL: an IPv6 address in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function listenError(cause: NodeJS.ErrnoException, address: string, flag: string): DuplexityError {
  const free = `Take another address with ${flag} HOST:PORT; port 0 takes a free one.`;
  switch (cause.code) {
    case "EADDRINUSE":
      return failure(address, "something else listens there already", free, cause);
    case "EACCES":
      return failure(address, "this user may not take that port", `${free} Ports from 1024 on need no rights.`, cause);
    case "EADDRNOTAVAIL":
      return failure(address, "this machine does not have that address", free, cause);
    case "ENOTFOUND":
      return failure(address, "the name cannot be found", free, cause);
    default:
      return failure(address, cause.message, free, cause);
  }
}

function failure(address: string, why: string, hint: string, cause: unknown): DuplexityError {
  return new DuplexityError("DPX_LISTEN", `Cannot listen on ${address}: ${why}`, { hint, cause });
}
