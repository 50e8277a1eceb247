// What a client does next that has lost its hub, or a socket to it: comes back to it, looks whether it is there, or moves to
// another one when it is its turn. Waits for nothing and dials nothing itself.

import type { DuplexityError } from "../protocol/index.ts";
import { anyWithin, LINKED_TURNS, LOOK_FROM_MS, MOVE_SPREAD_LINKED_MS, MOVE_SPREAD_MS, untilMove } from "./waits.ts";

/** What is known of the hub before an attempt. */
export interface LostHub {
  readonly hasControl: boolean;
  readonly hasLink: boolean;
  /** Whether there may be others. */
  readonly isInCluster: boolean;
  /** Whether it has an address of its own: others are behind another one, too. */
  readonly canBeAsked: boolean;
  /** Whether the next attempt needs no wait. */
  readonly isFree: boolean;
  /** As it has said; 0: it has not. */
  readonly moveDelayMs: number;
}

/**
 * `return`: to the hub that has said when. `ask`: the same one for a control socket, since the link lives. `look`: whether it is
 * there. `move`: to another one, in its turn. `retry`: whatever may help.
 */
export type Step = "return" | "ask" | "look" | "move" | "retry";

/** So often it comes back to a hub that has told it when, before it tries another one. */
const MAX_RETURNS = 3;

export class MovePlan {
  #goneAt: number | null = null;
  #hasAsked = false;
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
  next(error: DuplexityError, hub: LostHub): Step {
    const { hasControl, hasLink, isInCluster, canBeAsked, isFree, moveDelayMs } = hub;
    if (hasControl || hasLink) this.#isBack();
    // A crowd comes to every node at the moment, and this one has said when it is this client's turn.
    if (error.code === "DPX_UNAUTHENTICATED_LIMIT" && this.#returns < MAX_RETURNS) {
      this.#returns += 1;
      return "return";
    }
    this.#returns = 0;
    if (hasControl || !isInCluster) return "retry";
    if (hasLink) return "ask";
    if (this.#hasMoved || isFree) return "retry";
    // Where its clients are so many that the others need time for them.
    if (!this.#hasLooked && canBeAsked && moveDelayMs >= LOOK_FROM_MS) {
      this.#hasLooked = true;
      return "look";
    }
    this.#hasMoved = true;
    return "move";
  }

  /** How long until `step` may be done, in ms: all clients of that hub do the same now. Null: as after any failure. */
  waitMs(step: Step, moveDelayMs: number): number | null {
    const isFirstAsk = step === "ask" && !this.#hasAsked;
    this.#hasAsked ||= isFirstAsk;
    if (step === "look" || isFirstAsk) return anyWithin(MOVE_SPREAD_MS);
    return step === "move" ? untilMove(MOVE_SPREAD_MS, moveDelayMs, this.#goneMs) : null;
  }

  /** The same for a move while another link serves the visitors. */
  linkedMs(moveDelayMs: number): number {
    return untilMove(MOVE_SPREAD_LINKED_MS, LINKED_TURNS * moveDelayMs, this.#goneMs);
  }

  /** The hub was looked for in vain. Those who waited equally long for no answer are not to come together now. */
  lookFailed(tookMs: number): void {
    if (this.#goneAt !== null) this.#goneAt = Math.min(performance.now(), this.#goneAt + tookMs);
  }

  /** Something of it is there: its loss is still to come. */
  #isBack(): void {
    this.#goneAt = null;
    this.#hasLooked = false;
  }

  /** How long ago the hub was lost, as far as turns are concerned; 0 while something of it is there. */
  get #goneMs(): number {
    return this.#goneAt === null ? 0 : performance.now() - this.#goneAt;
  }
}
