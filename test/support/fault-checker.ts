// Judges what visitors got and targets saw while everything around them failed. Knows no process and no socket.

/** One `up` that wants one name. */
export interface ClaimNote {
  /** Counts all claims: a later one is the newer. */
  readonly number: number;
  readonly owner: string;
  readonly name: string;
  /** When it was told that the name is its own; null: not yet. */
  confirmedAt: number | null;
  /** When it was told so again, after a time without a link. */
  resumedAt: number | null;
  /** When it was ended or ended by itself. */
  leftAt: number | null;
}

export interface AnswerNote {
  readonly name: string;
  /** Where the visitor came in. */
  readonly path: number;
  readonly claim: ClaimNote;
  /** When the visitor sent the request, and had the answer. */
  readonly sentAt: number;
  readonly at: number;
}

/** So much later than it happened a client may say what it was told. */
const SAID_WITHIN_MS = 1_000;

export class FaultChecker {
  readonly claims: ClaimNote[] = [];
  /** Answers that were looked at. */
  answers = 0;
  readonly violations: string[] = [];
  readonly #reached = new Set<string>();
  /** On each path, the newest claim of each owner that has answered for a name. */
  readonly #newest = new Map<string, AnswerNote>();
  /** Answers of an older claim after a newer one of the same owner: what becomes of the newer one tells whether it was right. */
  #doubtful: { readonly answer: AnswerNote; readonly before: AnswerNote }[] = [];

  /** A new claim begins. */
  claim(owner: string, name: string): ClaimNote {
    const note = { number: this.claims.length, owner, name, confirmedAt: null, resumedAt: null, leftAt: null };
    this.claims.push(note);
    return note;
  }

  /** A numbered POST has reached a target. */
  reached(id: string): void {
    if (this.#reached.has(id)) this.violations.push(`POST ${id} reached its target twice`);
    this.#reached.add(id);
  }

  /** Nobody may be answered by an owner whose name had been confirmed to another one when the request was sent. */
  answered(answer: AnswerNote): void {
    const { name, claim, sentAt, at } = answer;
    this.answers += 1;
    this.#order(answer);
    if (claim.name !== name) this.violations.push(`${name} was answered by ${shown(claim)}, who has ${claim.name}`);
    const newer = this.claims.find((other) => isAgainst(claim, other) && isHeldFrom(other, sentAt, at));
    if (newer === undefined) return;
    this.violations.push(
      `${name} was answered by ${shown(claim)} to a request of ${Math.round(sentAt)}, after ${shown(newer)} had it`,
    );
  }

  /**
   * Answers that came from an owner's older claim after its newer one had answered on the same path: wrong, unless the
   * older one had registered again. Then it says so, or the newer one has been ended.
   */
  get older(): readonly string[] {
    this.#doubtful = this.#doubtful.filter(
      ({ answer: { claim }, before }) =>
        before.claim.leftAt === null && (claim.resumedAt ?? 0) + SAID_WITHIN_MS < (before.claim.confirmedAt ?? 0),
    );
    return this.#doubtful.map(
      ({ answer, before }) =>
        `${answer.name} was answered at ${answer.path} by ${shown(answer.claim)} to a request of ${Math.round(answer.sentAt)}, after ${shown(before.claim)} had answered there`,
    );
  }

  #order(answer: AnswerNote): void {
    const { name, path, claim, sentAt } = answer;
    const key = `${name} ${path} ${claim.owner}`;
    const before = this.#newest.get(key);
    if (before === undefined || claim.number >= before.claim.number) this.#newest.set(key, answer);
    else if (before.at < sentAt) this.#doubtful.push({ answer, before });
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
