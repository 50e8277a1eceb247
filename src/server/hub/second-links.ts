// A client's second link, which is at this hub while its pipes are registered at another one. Looks whether they are;
// registers nothing.

import {
  asDuplexityError,
  DuplexityError,
  hostnameOf,
  type PipeRequest,
  type PipeResult,
} from "../../protocol/index.ts";
import type { Registry } from "../backend/registry.ts";
import type { ClientRecord } from "./client-record.ts";
import type { Doors } from "./doors.ts";
import { refusalOf } from "./registrar.ts";

export interface SecondLinkOptions {
  readonly registry: Pick<Registry, "locate">;
  readonly doors: Doors;
  readonly domain: string;
  readonly urlOf: (hostname: string, tcpPort: number | undefined) => string;
}

/** What the client holds of `pipes`, or why it may not have a link here for them. Never rejects. */
export function see(
  options: SecondLinkOptions,
  client: ClientRecord,
  pipes: readonly PipeRequest[],
): Promise<PipeResult[]> {
  return Promise.all(
    pipes.map((pipe) =>
      seeOne(options, client, pipe).catch((error: unknown) => refusalOf(pipe.name, asDuplexityError(error))),
    ),
  );
}

async function seeOne(
  { registry, doors, domain, urlOf }: SecondLinkOptions,
  client: ClientRecord,
  { name, protocol }: PipeRequest,
): Promise<PipeResult> {
  const hostname = hostnameOf(name, domain);
  doors.checkPipe(client, hostname);
  const record = await registry.locate(hostname);
  client.heard(hostname, record);
  const isOwn = record?.clientId === client.clientId && record.ownerId === client.identity.ownerId;
  if (record === null || !isOwn) {
    throw new DuplexityError(
      "DPX_NOT_REGISTERED",
      `Cannot take a second link for "${name}": the first has not registered it`,
    );
  }
  const { epoch, tcpPort } = record;
  return { status: "registered", name, protocol, hostname, url: urlOf(hostname, tcpPort), epoch };
}
