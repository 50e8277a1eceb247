// Judges what visitors got and targets saw while everything around them failed. Knows no process and no socket.

/** One `up` that wants one name. */
export interface ClaimNote {
  /** Counts all claims: a later one is the newer. */
  readonly number: number;
  readonly owner: string;
  readonly name: string;
  /** When it was told that the name is its own; null: not yet. */
  confirmedAt: number | null;
  /** When it was ended or ended by itself. */
  leftAt: number | null;
}

export interface AnswerNote {
  readonly name: string;
  readonly claim: ClaimNote;
  /** When the visitor sent the request, and had the answer. */
  readonly sentAt: number;
  readonly at: number;
}

export class FaultChecker {
  readonly claims: ClaimNote[] = [];
  /** Answers that were looked at. */
  answers = 0;
  readonly violations: string[] = [];
  readonly #reached = new Set<string>();

  /** A new claim begins. */
  claim(owner: string, name: string): ClaimNote {
    const note = { number: this.claims.length, owner, name, confirmedAt: null, leftAt: null };
    this.claims.push(note);
    return note;
  }

  /** A numbered POST has reached a target. */
  reached(id: string): void {
    if (this.#reached.has(id)) this.violations.push(`POST ${id} reached its target twice`);
    this.#reached.add(id);
  }

  /** Nobody may be answered by an owner whose name had been confirmed to another one when the request was sent. */
  answered({ name, claim, sentAt, at }: AnswerNote): void {
    this.answers += 1;
    if (claim.name !== name) this.violations.push(`${name} was answered by ${shown(claim)}, who has ${claim.name}`);
    const newer = this.claims.find((other) => isAgainst(claim, other) && isHeldFrom(other, sentAt, at));
    if (newer === undefined) return;
    this.violations.push(
      `${name} was answered by ${shown(claim)} to a request of ${Math.round(sentAt)}, after ${shown(newer)} had it`,
    );
  }

  /** Who has `name` now: the latest that was told so and has not left. */
  holderOf(name: string): ClaimNote | null {
    const held = this.claims.filter(
      (claim) => claim.name === name && claim.confirmedAt !== null && claim.leftAt === null,
    );
    held.sort((one, other) => (other.confirmedAt ?? 0) - (one.confirmedAt ?? 0));
    return held[0] ?? null;
  }
}

/** Whether `other` is another owner's registration of the same name, after that of `claim`. */
function isAgainst(claim: ClaimNote, other: ClaimNote): boolean {
  if (other.name !== claim.name || other.owner === claim.owner || other.confirmedAt === null) return false;
  return claim.confirmedAt === null || claim.confirmedAt < other.confirmedAt;
}

/** Whether it was told before `sentAt` that it has the name, and had it until `at` at least. */
function isHeldFrom({ confirmedAt, leftAt }: ClaimNote, sentAt: number, at: number): boolean {
  return confirmedAt !== null && confirmedAt < sentAt && (leftAt === null || leftAt > at);
}

function shown({ owner, number, confirmedAt }: ClaimNote): string {
  return `${owner}/${number} (since ${confirmedAt === null ? "-" : Math.round(confirmedAt)})`;
}
