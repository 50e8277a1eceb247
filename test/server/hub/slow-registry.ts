// The node's own registry, made to wait or to fail by hand.

import { MemoryRegistry, type Registration, type RemoveReason } from "../../../src/server/backend/index.ts";

export class SlowRegistry extends MemoryRegistry {
  #hostname = "";
  #removed = "";
  #failure: Error | null = null;
  #reached: () => void = () => {};
  #release: () => void = () => {};
  #gate: Promise<void> = Promise.resolve();
  held: Promise<void> = Promise.resolve();

  /** The next registration of `hostname` waits for `release`. */
  hold(hostname: string): void {
    this.#hostname = hostname;
    this.held = new Promise((resolve) => {
      this.#reached = resolve;
    });
    this.#gate = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  /** The next removal of `hostname` waits for `release`. */
  holdRemoval(hostname: string): void {
    this.hold("");
    this.#removed = hostname;
  }

  release(): void {
    this.#release();
  }

  failNext(failure = new Error("the registry cannot be reached")): void {
    this.#failure = failure;
  }

  override async register(registration: Registration) {
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
    if (registration.hostname === this.#hostname) {
      this.#hostname = "";
      this.#reached();
      await this.#gate;
    }
    return super.register(registration);
  }

  override async remove(hostname: string, clientId: string, epoch: number, reason: RemoveReason) {
    if (hostname === this.#removed) {
      this.#removed = "";
      this.#reached();
      await this.#gate;
    }
    return super.remove(hostname, clientId, epoch, reason);
  }
}
