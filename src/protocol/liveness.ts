// Whether a peer still lives: silence is probed, not guessed. Sends nothing itself and ends nothing itself.

export interface Heartbeat {
  /** Silence after which the peer is asked for a sign of life. */
  readonly idleMs: number;
  /** How long it has for its answer. */
  readonly timeoutMs: number;
}

export interface LivenessOptions {
  readonly heartbeat: Heartbeat;
  /** Also pings within each two `idleMs` while things come: for who wants to know the round trip. @default false */
  readonly pingsWhenBusy?: boolean;
  /** Asks the peer for a sign of life. */
  ping(): void;
  /** A ping stayed unanswered; nothing came for `silentMs`. Once, and then nothing more. */
  dead(silentMs: number): void;
}

/** A timer that fires this late means that the process slept: what came meanwhile has not been read yet. */
const OVERSLEPT_MS = 1_000;

/** Watches from its making until `stop`, or until it found the peer dead. */
export class Liveness {
  readonly #options: LivenessOptions;
  #heartbeat: Heartbeat;
  #heardAt = performance.now();
  #pingedAt = 0;
  #dueAt = 0;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#heartbeat = options.heartbeat;
    this.#watchAfter(this.#heartbeat.idleMs);
  }

  /** Something came from the peer. */
  heard(): void {
    this.#heardAt = performance.now();
  }

  /** Asks now, whatever came. */
  ping(): void {
    this.#pingedAt = performance.now();
    this.#options.ping();
  }

  /** Goes on with another heartbeat; the peer has just been heard. */
  follow(heartbeat: Heartbeat): void {
    if (this.#isStopped) return;
    this.#heartbeat = heartbeat;
    this.#watchAfter(heartbeat.idleMs);
  }

  /** Safe to call twice. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #watchAfter(ms: number): void {
    clearTimeout(this.#timer);
    // A ping or its failure may have stopped the watch.
    if (this.#isStopped) return;
    this.#dueAt = performance.now() + ms;
    this.#timer = setTimeout(this.#watch, ms);
  }

  readonly #watch = (): void => {
    const { idleMs, timeoutMs } = this.#heartbeat;
    const now = performance.now();
    const silentMs = now - this.#heardAt;
    const hasOverslept = now - this.#dueAt > OVERSLEPT_MS;
    if (silentMs < idleMs) {
      if (this.#options.pingsWhenBusy === true && now - this.#pingedAt >= idleMs) this.ping();
      this.#watchAfter(idleMs - silentMs);
    } else if (silentMs < idleMs + timeoutMs || hasOverslept) {
      this.ping();
      this.#watchAfter(hasOverslept ? timeoutMs : Math.max(1, idleMs + timeoutMs - silentMs));
    } else {
      this.stop();
      this.#options.dead(silentMs);
    }
  };
}
