// A link to another hub of the same cluster besides the first one: when either
// is cut or its hub goes, the other is there already. Never the only one at the
// start, and given up quietly wherever there is no other hub.

import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import { BACKOFF_HEALTHY_MS, BACKOFF_MAX_MS, Backoff } from "./backoff.ts";
import { isFinal, longestWaitAfter } from "./dial-errors.ts";
import type { SealedPipe } from "./gate.ts";
import { Pause } from "./pause.ts";
import { Servers } from "./servers.ts";
import type { PacedLink } from "./slow-links.ts";
import { type DialAim, type TunnelUplinkOptions, Uplink } from "./uplink.ts";
import {
  ASK_LIMIT_MS,
  anyWithin,
  LINKED_TURNS,
  MOVE_SPREAD_MS,
  retryAfterMs,
  SECOND_SPREAD_MS,
  untilMove,
} from "./waits.ts";

export interface SecondLinkOptions {
  readonly uplink: TunnelUplinkOptions;
  /** Those that are not closed. */
  pipes(): readonly SealedPipe[];
  /** Addresses of other hubs, without the one that has the first link. */
  others(): readonly URL[];
  /** Asks for `others` anew. Never rejects. */
  refresh(): Promise<void>;
  /** Whether the first link is gone: then this one is the only way to the targets. */
  isOnlyWay(): boolean;
  onUp(): void;
  onLost(error: DuplexityError): void;
}

/** When there is no other hub, or none that takes this client, how long until it is looked for again. */
const LOOK_AGAIN_MS = 60_000;
/** A link that was up for so long is tried once where it was; one that was not would be cut there again. */
export const LOOK_AFTER_MS = 10_000;

export class SecondLink {
  readonly #options: SecondLinkOptions;
  readonly #life = new AbortController();
  /** For the present link's end, or for the time of the next attempt. */
  readonly #pause = new Pause({ signal: this.#life.signal, ref: false });
  readonly #backoff = new Backoff();
  #uplink: Uplink | null = null;
  #isStarted = false;
  #isUp = false;
  /** As the last hub has said. */
  #moveDelayMs = 0;
  /** Whether this end has given the last one up. */
  #isAborted = false;

  constructor(options: SecondLinkOptions) {
    this.#options = options;
  }

  get hasLink(): boolean {
    return this.#isUp && this.#uplink?.hasLink === true;
  }

  /** False also while there is none of it. */
  get hasControl(): boolean {
    return this.#uplink?.hasControl === true;
  }

  get pace(): PacedLink | null {
    return this.hasLink ? (this.#uplink?.pace ?? null) : null;
  }

  get rttMs(): number | null {
    return this.#uplink?.rttMs ?? null;
  }

  /** The node that it leads to, while it does. */
  get nodeId(): string | null {
    return this.#uplink?.nodeId ?? null;
  }

  /** The address of its control socket, while there is one. */
  get url(): URL | null {
    return this.#uplink?.url ?? null;
  }

  /** Looks for another hub from now on. Safe to call twice. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#run().catch((error: unknown) => this.#options.onLost(asDuplexityError(error)));
  }

  /** The first link is there again: this one is made anew if it leads to the same hub, or has lost its control socket. */
  firstIsUp(nodeId: string | null): void {
    if (this.#uplink === null || (this.nodeId !== nodeId && (this.hasControl || !this.#isUp))) return;
    this.abort(new DuplexityError("DPX_LINK_LOST", "The first link is there: this one is made anew"));
  }

  /** Drops its sockets without a word: they are believed to be dead. */
  abort(error: DuplexityError): void {
    this.#isAborted = this.#uplink !== null;
    this.#uplink?.abort(error);
  }

  async closePipes(names: readonly string[]): Promise<void> {
    await this.#uplink?.closePipes(names);
  }

  sayGoodbye(reason: string): void {
    this.#uplink?.sayGoodbye(reason);
  }

  refreshToken(token: string): void {
    this.#uplink?.refreshToken(token);
  }

  /** Closes it for good and resolves when that is done. */
  async close(error: DuplexityError): Promise<void> {
    const uplink = this.#uplink;
    this.#life.abort(error);
    this.#pause.end();
    await uplink?.close(error);
  }

  async #run(): Promise<void> {
    const { signal } = this.#life;
    let look: URL | null = null;
    // Its turn is counted from then on.
    let goneAt = performance.now();
    while (!signal.aborted) {
      // The first link may have come there meanwhile.
      const again: URL | null = look !== null && this.#isOther(look) ? look : null;
      const url: URL | null = again ?? this.#pick();
      if (url === null) {
        await this.#pause.wait(LOOK_AGAIN_MS * (0.5 + Math.random()));
        if (!signal.aborted) await this.#options.refresh();
        continue;
      }
      this.#isAborted = false;
      const dialledAt = performance.now();
      const { error, upMs } = await this.#hold(url, again === null ? {} : { dialTimeoutMs: ASK_LIMIT_MS });
      if (signal.aborted) return;
      if (error === null) goneAt = performance.now();
      // Those who waited equally long for no answer are not to come together now.
      else if (again !== null) goneAt += performance.now() - dialledAt;
      const delayMs = this.#delayAfter(error, upMs, again === null ? null : performance.now() - goneAt);
      // It was up for long, and is tried once where it was: only the way to that hub may have been cut.
      look = upMs >= LOOK_AFTER_MS && !this.#isAborted && this.#isOther(url) ? url : null;
      await this.#pause.wait(look === null ? delayMs : anyWithin(MOVE_SPREAD_MS));
    }
  }

  #isOther({ href }: URL): boolean {
    return this.#options.others().some((other) => other.href === href);
  }

  /**
   * @param error What it was refused with; null: it was up, and all clients of its hub may have lost theirs.
   * @param upMs How long it was up: a hub that cuts what it has just taken is none that is gone.
   * @param goneMs When that hub had it before, and may be gone: how long ago it was lost. Null: it had not.
   */
  #delayAfter(error: DuplexityError | null, upMs: number, goneMs: number | null): number {
    const isLost = error === null || goneMs !== null;
    const turnMs = isLost ? untilMove(SECOND_SPREAD_MS, LINKED_TURNS * this.#moveDelayMs, goneMs ?? 0) : 0;
    if (error !== null) return Math.max(turnMs, this.#refusedMs(error));
    return upMs >= BACKOFF_HEALTHY_MS ? turnMs : Math.max(turnMs, this.#backoff.next(BACKOFF_MAX_MS));
  }

  #refusedMs(error: DuplexityError): number {
    if (isFinal(error.code)) return LOOK_AGAIN_MS;
    return Math.max(this.#backoff.next(longestWaitAfter(error)), retryAfterMs(error));
  }

  #pick(): URL | null {
    const others = this.#options.others();
    return others[Math.floor(Math.random() * others.length)] ?? null;
  }

  /** Keeps a link to `url` until it is lost. Answers what it was refused with (null: it was not), and how long it was up. */
  async #hold(
    url: URL,
    aim: Pick<DialAim, "dialTimeoutMs">,
  ): Promise<{ readonly error: DuplexityError | null; readonly upMs: number }> {
    const { uplink: shared, pipes, isOnlyWay, onUp, onLost } = this.#options;
    const { signal } = this.#life;
    let lost: DuplexityError | null = null;
    const uplink: Uplink = new Uplink({
      ...shared,
      servers: new Servers(url),
      pipes: pipes(),
      isSecond: true,
      onLost: (error) => {
        // Its control socket alone, which makes way for that of a first link at the same hub.
        if (uplink.hasLink && isOnlyWay() && !isFinal(error.code)) return;
        lost = error;
        this.#pause.end();
      },
      onDrain: () => {},
    });
    this.#uplink = uplink;
    try {
      await uplink.establish(signal, { isPartial: false, ...aim });
      const upAt = performance.now();
      this.#isUp = true;
      this.#moveDelayMs = uplink.moveDelayMs;
      onUp();
      // Its control socket may be lost alone: then all of it is made anew as soon as the first link serves.
      while (lost === null && !signal.aborted) await this.#pause.wait(LOOK_AGAIN_MS);
      const upMs = performance.now() - upAt;
      if (upMs >= BACKOFF_HEALTHY_MS) this.#backoff.reset();
      return { error: null, upMs };
    } catch (error) {
      return { error: asDuplexityError(error), upMs: 0 };
    } finally {
      const wasUp = this.#isUp;
      this.#isUp = false;
      this.#uplink = null;
      const reason = lost ?? new DuplexityError("DPX_LINK_LOST", "The second link is over");
      if (!signal.aborted) {
        uplink.abort(reason);
        if (wasUp) onLost(reason);
      }
    }
  }
}
