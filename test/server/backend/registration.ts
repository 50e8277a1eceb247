// Registrations for tests.

import type { Registration, Registry, RegistryRecord } from "../../../src/server/backend/registry.ts";

/** One of ben's, unless `more` says otherwise. */
export function registration(hostname: string, more: Partial<Registration> = {}): Registration {
  return {
    hostname,
    protocol: "http",
    clientId: "client-a",
    ownerId: "ben-id",
    ownerName: "ben",
    nodeId: "node-1",
    wantsReports: false,
    ...more,
  };
}

export const EVE: Partial<Registration> = { clientId: "client-e", ownerId: "eve-id", ownerName: "eve" };

export async function register(registry: Registry, wanted: Registration): Promise<RegistryRecord> {
  const result = await registry.register(wanted);
  if (result.status !== "registered") throw new Error(`${wanted.hostname} is taken by ${result.ownerName}`);
  return result.record;
}
