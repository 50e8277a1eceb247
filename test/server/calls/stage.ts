// Backend nodes as other nodes call them, over real HTTP: each with the calls that a test gives it.

import { createServer, type Server } from "node:http";
import {
  BackendLink,
  type BackendLinkOptions,
  type CallHandlers,
  CallServer,
  type EventSource,
} from "../../../src/server/calls/index.ts";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import type { Stage } from "../../support/stage.ts";

export const SECRET = "cluster-secret-0123456789abcdef";

/** Tells nobody anything. */
const SILENT: EventSource = { listen: async () => () => {} };

export interface RunningBackend {
  readonly origin: string;
  readonly server: Server;
  readonly calls: CallServer;
}

export interface BackendOptions {
  readonly handlers?: CallHandlers;
  readonly events?: EventSource;
  readonly secrets?: readonly string[];
  readonly nodeId?: string;
  readonly port?: number;
}

export async function startBackend(stage: Stage, options: BackendOptions = {}): Promise<RunningBackend> {
  const { handlers = new Map(), events = SILENT, secrets = [SECRET], nodeId = "backend-1", port = 0 } = options;
  const calls = new CallServer({ handlers, events, secrets, nodeId });
  const server = createServer((request, response) => void calls.handle(request, response, request.url ?? ""));
  closeWithSockets(stage, server);
  stage.defer(() => calls.close());
  return { origin: `http://127.0.0.1:${await listen(server, port)}`, server, calls };
}

export async function openLink(
  stage: Stage,
  origins: readonly string[],
  options: Partial<BackendLinkOptions> = {},
): Promise<BackendLink> {
  const link = await BackendLink.open({ nodeId: "node-1", secrets: [SECRET], warn: () => {}, ...options, origins });
  stage.defer(() => link.close());
  return link;
}
