// Over how long the clients of a hub that is gone come to the others: each of these has its own clients' visitors to serve
// meanwhile.

/**
 * So many clients a second come to one hub without its visitors noticing much: each costs it some 4 ms of CPU, with two sockets,
 * a proof of who it is, and its names in the registry.
 */
const MOVES_PER_HUB_PER_SECOND = 100;
/** Visitors of those with a single link wait for them, for 30 s at most; and a lease has 20 s left in the worst case. */
const MAX_MOVE_SPREAD_MS = 15_000;

/**
 * In ms.
 *
 * @param clients Of this hub. Those that it told a shorter time are fewer, and come earlier.
 * @param others Hubs that would be left. None: this one comes back, and is one.
 */
export function moveSpreadMs(clients: number, others: number): number {
  const perSecond = MOVES_PER_HUB_PER_SECOND * Math.max(1, others);
  return Math.min(MAX_MOVE_SPREAD_MS, Math.round((clients / perSecond) * 1_000));
}
