// What a client does next that has lost its hub: comes back to it, looks whether it is there, or moves to another one when
// it is its turn. One plan for each loss. Waits for nothing and dials nothing itself.

import type { DuplexityError } from "../protocol/index.ts";
import { anyWithin, LINKED_TURNS, LOOK_FROM_MS, MOVE_SPREAD_LINKED_MS, MOVE_SPREAD_MS, untilMove } from "./waits.ts";

/** What is known of the hub before an attempt. */
export interface LostHub {
  readonly hasControl: boolean;
  /** Whether there are others to move to, and the attempt has to wait for its turn. */
  readonly mayMove: boolean;
  /** Whether it has an address of its own: others are behind another one, too. */
  readonly canBeAsked: boolean;
  /** As it has said; 0: it has not. */
  readonly moveDelayMs: number;
}

/**
 * `return`: to the hub that has said when. `look`: to the same one, to see whether it is there. `move`: to another one, in its
 * turn. `retry`: whatever may help.
 */
export type Step = "return" | "look" | "move" | "retry";

/** So often it comes back to a hub that has told it when, before it tries another one. */
const MAX_RETURNS = 3;

export class MovePlan {
  #goneAt: number | null = null;
  #hasLooked = false;
  #hasMoved = false;
  #returns = 0;

  /** Whether it has had its turn. */
  get hasMoved(): boolean {
    return this.#hasMoved;
  }

  /** Nothing of the hub is there any more. Safe to call twice. */
  gone(): void {
    this.#goneAt ??= performance.now();
  }

  /** @param error What the attempt before ended with. */
  next(error: DuplexityError, { hasControl, mayMove, canBeAsked, moveDelayMs }: LostHub): Step {
    // A crowd comes to every node at the moment, and this one has said when it is this client's turn.
    if (error.code === "DPX_UNAUTHENTICATED_LIMIT" && this.#returns < MAX_RETURNS) {
      this.#returns += 1;
      return "return";
    }
    this.#returns = 0;
    if (hasControl || this.#hasMoved || !mayMove) return "retry";
    // Where its clients are so many that the others need time for them.
    if (!this.#hasLooked && canBeAsked && moveDelayMs >= LOOK_FROM_MS) {
      this.#hasLooked = true;
      return "look";
    }
    this.#hasMoved = true;
    return "move";
  }

  /** How long until `step` may be done, in ms: all clients of that hub do the same now. Null: there is no turn to wait for. */
  waitMs(step: Step, moveDelayMs: number): number | null {
    if (step === "look") return anyWithin(MOVE_SPREAD_MS);
    return step === "move" ? untilMove(MOVE_SPREAD_MS, moveDelayMs, this.#goneMs) : null;
  }

  /** The same for a move while another link serves the visitors. */
  linkedMs(moveDelayMs: number): number {
    return untilMove(MOVE_SPREAD_LINKED_MS, LINKED_TURNS * moveDelayMs, this.#goneMs);
  }

  /** The hub was looked for in vain. Those who waited equally long for no answer are not to come together now. */
  lookFailed(tookMs: number): void {
    if (this.#goneAt !== null) this.#goneAt += tookMs;
  }

  /** How long ago the hub was lost, as far as turns are concerned; 0 while something of it is there. */
  get #goneMs(): number {
    return this.#goneAt === null ? 0 : performance.now() - this.#goneAt;
  }
}
