// When each client of a hub is to come to another one if this one is gone: these have their own clients' visitors to serve
// meanwhile.

/**
 * So many clients a second come to one hub without its visitors noticing much: each costs it 2 to 4 ms of CPU, with two sockets,
 * a proof of who it is, and its names in the registry.
 */
const MOVES_PER_HUB = 100;
export const TURN_MS = 1_000;
/** Visitors of clients with a single link wait for them, and nodes keep sessions with these: 30 s at most. */
const MAX_TURNS = 25;

export class MoveTurns {
  /** How many clients have each. */
  readonly #taken = new Uint32Array(MAX_TURNS);

  /**
   * The first turn that has room; where none has, the one that has fewest.
   *
   * @param others Hubs that would be left. None: this one comes back, and is one.
   */
  take(others: number): number {
    const room = MOVES_PER_HUB * Math.max(1, others);
    const free = this.#taken.findIndex((count) => count < room);
    const turn = free >= 0 ? free : this.#taken.indexOf(Math.min(...this.#taken));
    this.#taken[turn] = (this.#taken[turn] ?? 0) + 1;
    return turn;
  }

  /** Its client is not here any more. */
  give(turn: number): void {
    this.#taken[turn] = (this.#taken[turn] ?? 1) - 1;
  }
}
