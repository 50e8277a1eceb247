// Registers a name of which Redis may have lost the record: nobody gets it before whoever holds it could say so.

import { DuplexityError } from "../../protocol/index.ts";
import type { Births } from "./redis-births.ts";
import type { Claim, RedisSteps } from "./redis-steps.ts";
import type { Registration } from "./registry.ts";

export interface ClaimNameOptions {
  readonly steps: RedisSteps;
  readonly births: Births;
  readonly tcpPort: number | null;
  /** The epoch will be higher, unless the client keeps its own. */
  readonly floor: number;
  /** Puts the name's record back if this node has it; answers whether it did. */
  readonly putBack: () => Promise<boolean>;
}

/** @throws {DuplexityError} `DPX_STORE` while the name may be another's. */
export async function claimName(
  registration: Registration,
  options: ClaimNameOptions,
): Promise<Exclude<Claim, { status: "absent" }>> {
  const { hostname } = registration;
  const { steps, births, tcpPort, floor, putBack } = options;
  const claim = (mayBeNew: boolean): Promise<Claim> => steps.claim(registration, { tcpPort, floor, mayBeNew });
  let known = await claim(false);
  if (known.status === "absent" && (await putBack())) known = await claim(false);
  if (known.status !== "absent") return known;
  await births.checkOpen(hostname);
  const made = await claim(true);
  if (made.status === "taken") return made;
  if (made.status === "absent")
    throw new DuplexityError("DPX_STORE", `Cannot register "${hostname}": Redis refused it`);
  try {
    // Redis may have lost everything since the first look, and with it the record of somebody who holds the name.
    await births.checkOpen(hostname);
    return made;
  } catch (error) {
    // If this fails, the name is away when its lease ends.
    await steps.remove(made.record, "undo").catch(() => "none");
    throw error;
  }
}
