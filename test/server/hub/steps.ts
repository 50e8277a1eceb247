// What tests of the hub do again and again: bring a client up, find its route, open streams.

import { DuplexityError, type OpenRequest, type StreamHandler } from "../../../src/protocol/index.ts";
import type { Route } from "../../../src/server/routes.ts";
import { poll } from "../../support/wait.ts";
import type { HandClient, HubStage } from "./stage.ts";

export const HANDLER: StreamHandler = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset() {} };

export function routeTo(hub: HubStage, hostname: string): Route {
  const route = hub.hub.routes.locate(hostname);
  if (route === null || route instanceof Promise) throw new Error(`${hostname} has no route`);
  return route;
}

export function openRequest(hostname: string): OpenRequest {
  return { hostname, protocol: "http", visitor: "127.0.0.1:1", isTls: false };
}

/** Opens streams until one works: a session is live a moment after its pipes are registered. */
export async function reach(hub: HubStage, hostname: string): Promise<void> {
  await poll(
    () => {
      try {
        hub.hub.routes.open(routeTo(hub, hostname), openRequest(hostname), HANDLER);
        return true;
      } catch (error) {
        if (error instanceof DuplexityError && error.code === "DPX_CLIENT_AWAY") return false;
        throw error;
      }
    },
    5_000,
    `a stream to ${hostname}`,
    2,
  );
}

export async function upAndLive(client: HandClient, ...names: string[]): Promise<void> {
  await client.up(...names);
  await poll(() => client.sessions.at(-1)?.isLive, 5_000, "a live session", 2);
}
