// Tells when one of two links has become slow beyond reason while the other one is not. Compares them only while something
// moves: idle links cost nothing. Moves nothing itself.

/** A link, as far as its pace is concerned. */
export interface PacedLink {
  /** The last round trip, or how long the answer to a ping is outstanding, whichever is more; in ms. */
  readonly latencyMs: number;
  /** Bytes of sessions, sent and received. */
  readonly movedBytes: number;
  /** Sends a ping, unless one is outstanding. */
  probe(): void;
}

export interface SlowLinksOptions {
  /** Null while there is none. */
  first(): PacedLink | null;
  second(): PacedLink | null;
  onSlow(which: "first" | "second", latencyMs: number): void;
}

const LOOK_MS = 2_000;
/** A round trip that no network has that is well … */
export const SLOW_MS = 2_000;
/** … and that is so many times the other link's: on a network that is slow itself, both are. */
export const SLOW_FACTOR = 8;
/** With more than this moved between two looks it is only busy: what is in its queue delays the pings, too. */
export const SLOW_BYTES = 131_072;
/** So many looks in a row: one is a hiccup. */
export const SLOW_LOOKS = 3;
/** After a move none follows for so long: where both links are bad by turns, moving would only add to that. */
export const REST_MS = 60_000;

interface Watched {
  link: PacedLink | null;
  movedBytes: number;
  slowLooks: number;
}

export class SlowLinks {
  readonly #options: SlowLinksOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #first: Watched = { link: null, movedBytes: 0, slowLooks: 0 };
  readonly #second: Watched = { link: null, movedBytes: 0, slowLooks: 0 };
  #restUntil = 0;

  constructor(options: SlowLinksOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const [first, second] = [this.#options.first(), this.#options.second()];
    if (first === null || second === null) return;
    const isFirstSlow = isSlow(this.#first, first, second);
    const isSecondSlow = isSlow(this.#second, second, first);
    if ((!isFirstSlow && !isSecondSlow) || performance.now() < this.#restUntil) return;
    this.#restUntil = performance.now() + REST_MS;
    this.#options.onSlow(isFirstSlow ? "first" : "second", (isFirstSlow ? first : second).latencyMs);
  }
}

/** Whether `link` has been slow beside `other` for some looks, this one included. */
function isSlow(watched: Watched, link: PacedLink, other: PacedLink): boolean {
  if (watched.link !== link) {
    watched.link = link;
    watched.movedBytes = link.movedBytes;
    watched.slowLooks = 0;
  }
  const movedBytes = link.movedBytes - watched.movedBytes;
  watched.movedBytes = link.movedBytes;
  const { latencyMs } = link;
  if (movedBytes > 0 || latencyMs >= SLOW_MS) link.probe();
  // Only then does it matter how fast the other one is at this moment.
  if (latencyMs >= SLOW_MS) other.probe();
  const isNow = latencyMs >= Math.max(SLOW_MS, SLOW_FACTOR * other.latencyMs) && movedBytes < SLOW_BYTES;
  watched.slowLooks = isNow ? watched.slowLooks + 1 : 0;
  return watched.slowLooks >= SLOW_LOOKS;
}
