// The server's order to go, as an error that says who gave it, why, and until when.

import { DuplexityError } from "./errors.ts";
import type { ForceDisconnectRequest } from "./messages.ts";

/** How a ban without an end is told: a time that nobody waits for. */
export const FOREVER = "9999-12-31T23:59:59.999Z";
const FOR_EVER_YEAR = 9_000;

/**
 * The same at the client and at its hub: whichever socket brings it first, it reads alike.
 *
 * `ana kicked this client: maintenance. Banned until 2026-11-23 12:00 UTC` */
export function disconnectError(
  request: Pick<ForceDisconnectRequest, "code" | "by" | "reason" | "until">,
): DuplexityError {
  const { code, by, reason, until } = request;
  const did = code === "DPX_KICKED" ? `${by} kicked this client` : `${by} ended this client`;
  const why = reason === "" ? "" : `: ${reason}`;
  return new DuplexityError(code, `${did}${why}${until === null ? "" : `${endOf(reason)} Banned ${untilWhen(until)}`}`);
}

function endOf(reason: string): string {
  return /[.!?]$/.test(reason) ? "" : ".";
}

function untilWhen(until: string): string {
  const date = new Date(until);
  if (Number.isNaN(date.getTime())) return `until ${until}`;
  if (date.getUTCFullYear() >= FOR_EVER_YEAR) return "for ever";
  return `until ${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
