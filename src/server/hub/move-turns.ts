// When each client of a hub is to come to another one if this one is gone: these have their own clients' visitors to serve
// meanwhile.

/**
 * One client comes to each other hub in a turn on average (each chooses one at random), so 100 a second, without its visitors
 * noticing much: each costs it 2 to 4 ms of CPU, with two sockets, a proof of who it is, and its names in the registry. In turns
 * that are longer several would come at any time of each, and now and then together.
 */
const TURN_MS = 10;
/** Visitors of clients with a single link wait for them, and nodes keep sessions with these: 30 s at most. */
const MAX_TURNS = 25_000 / TURN_MS;

export class MoveTurns {
  /** How many clients have each. */
  readonly #taken = new Uint32Array(MAX_TURNS);

  /**
   * The first turn that has room; where none has, the first of those that have fewest.
   *
   * @param others Hubs that would be left. None: this one comes back, and is one.
   */
  take(others: number): number {
    const room = Math.max(1, others);
    const free = this.#taken.findIndex((count) => count < room);
    const turn = free >= 0 ? free : this.#withFewest();
    this.#taken[turn] = (this.#taken[turn] ?? 0) + 1;
    return turn;
  }

  /** Its client is not here any more. */
  give(turn: number): void {
    this.#taken[turn] = (this.#taken[turn] ?? 1) - 1;
  }

  /** How long after the hub is gone a turn begins, in ms: more than 0. */
  delayOf(turn: number): number {
    return (turn + 1) * TURN_MS;
  }

  #withFewest(): number {
    const fewest = this.#taken.reduce((least, count) => Math.min(least, count));
    return this.#taken.indexOf(fewest);
  }
}
