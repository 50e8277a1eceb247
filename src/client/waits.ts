// How long a client waits when it is told to come later, or when the node that it was at is gone. Not how long it waits
// after a failure that nobody explained: that is backoff.ts.

import type { DuplexityError } from "../protocol/index.ts";

/** Whatever a server says, it is asked again after so long. */
export const MAX_RETRY_AFTER_MS = 60_000;
/** On top of what the server says: a part of it, at random, so that those who were told the same do not come as one. */
const RETRY_JITTER = 0.5;
/**
 * When a node of a cluster is gone, all of its clients come to the others: over so long, unless the node has given each a turn
 * (`moveDelayMs`). Visitors wait for them. A client that is alone there with a cut link waits as well: it cannot tell one from the
 * other. With what follows (some 50 ms until it is noticed, dialled and registered) it is less than a second. Also, where a hub is
 * asked once more whether it is there, the time over which its clients do that.
 */
export const MOVE_SPREAD_MS = 900;
/** The same while another link serves the visitors, whose node keeps the name: those that have none come before. */
export const MOVE_SPREAD_LINKED_MS = 5_000;
/** And its turn is so many times as late. */
export const LINKED_TURNS = 2;
/** A second link that is lost: the pipes are registered over the first one, so that there is no hurry at all. */
export const SECOND_SPREAD_MS = 10_000;
/** A turn is as long: there is one client in it for each other node, and each chooses its node at random. */
const TURN_MS = 10;
/** A turn as late as this is of a node with 100 clients for each other one, or more: where it is not gone, they stay. */
export const LOOK_FROM_MS = 1_000;
/** A hub that is there opens a control socket within this; where it is not, nobody waits for longer before the next step. */
export const ASK_LIMIT_MS = 2_000;
/** Whatever a node says, its clients come after so long: visitors do not wait for ever. */
export const MAX_MOVE_DELAY_MS = 30_000;

/** In ms; 0 if `error` says nothing about it. */
export function retryAfterMs({ retryAfterMs: told }: DuplexityError, random: () => number = Math.random): number {
  if (told === undefined) return 0;
  const least = Math.min(told, MAX_RETRY_AFTER_MS);
  return Math.round(least * (1 + RETRY_JITTER * random()));
}

/**
 * In ms, whole: until the client's turn, or any time within `spreadMs` if it has none.
 *
 * @param turnMs How long after the loss it has its turn; 0: it has none.
 * @param goneMs How long ago the loss was.
 */
export function untilMove(
  spreadMs: number,
  turnMs: number,
  goneMs: number,
  random: () => number = Math.random,
): number {
  if (turnMs === 0) return anyWithin(spreadMs, random);
  return Math.round(Math.max(0, turnMs - goneMs)) + anyWithin(TURN_MS, random);
}

/** Any time within `spreadMs`, each as likely as any other. */
export function anyWithin(spreadMs: number, random: () => number = Math.random): number {
  return Math.round(spreadMs * random());
}
