// Moves the first link away from a hub that will go: another hub has registered the pipes before the old link goes, which
// stays for what still runs over it until its hub closes it. Does not reconnect: what has no other hub is lost as ever.

import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import { Pause } from "./pause.ts";
import type { Servers } from "./servers.ts";
import type { Uplink } from "./uplink.ts";

export interface HandOverOptions {
  /** Aborts when the tunnel has ended, before `close` is called. */
  readonly signal: AbortSignal;
  readonly servers: Servers;
  /** Where the second link leads: it is left alone if there is a third hub. */
  taken(): URL | null;
  /** An uplink that was not dialled yet. */
  make(): Uplink;
  /** Dials and registers, and takes it for the first one then. */
  establish(uplink: Uplink, isPartial: boolean): Promise<void>;
}

/**
 * Where no hub has an address of its own, whatever is behind the given one has to find out first that this hub goes. Up to
 * half of it more, so that the clients of one hub do not all come at once.
 */
const GIVEN_AFTER_MS = 1_000;
/** Hubs that are tried. */
const MAX_TRIES = 3;
/** Old links that wait for their hubs to go; the one before these is closed. */
const MAX_LEAVING = 4;

export class HandOver {
  readonly #options: HandOverOptions;
  readonly #leaving = new Set<Uplink>();
  /** Before the given address is dialled. */
  readonly #pause: Pause;

  constructor(options: HandOverOptions) {
    this.#options = options;
    this.#pause = new Pause({ signal: options.signal, ref: false });
  }

  /** Resolves when it is done, or when no other hub takes this client. Never rejects. */
  async run(): Promise<void> {
    await this.#tryAll(await this.#places(), true);
  }

  /**
   * Looks for another hub that takes all pipes, at once. Answers whether there is one. Not where the second link leads: the
   * attempt would cost that link its control socket, and visitors would wait for it. Never rejects.
   */
  seek(): Promise<boolean> {
    const second = this.#options.taken()?.href;
    return this.#tryAll(
      this.#others().filter(({ href }) => href !== second),
      false,
    );
  }

  /** The old link is lost already, or other hubs are known now. */
  hurry(): void {
    this.#pause.end();
  }

  /** Another one has taken its place. */
  leave(uplink: Uplink): void {
    this.#leaving.add(uplink);
    const [oldest] = this.#leaving;
    if (oldest === undefined || this.#leaving.size <= MAX_LEAVING) return;
    this.#leaving.delete(oldest);
    void oldest.close(new DuplexityError("DPX_LINK_LOST", "Newer links took its place"));
  }

  /** Something of an old one is gone. */
  lost(uplink: Uplink): void {
    if (!uplink.hasControl && !uplink.hasLink) this.#leaving.delete(uplink);
  }

  /** The old hubs may have those that no other one took. Resolves when they have freed the names. Never rejects. */
  async closePipes(names: readonly string[]): Promise<void> {
    await Promise.all([...this.#leaving].map((uplink) => uplink.closePipes(names)));
  }

  sayGoodbye(reason: string): void {
    for (const uplink of this.#leaving) uplink.sayGoodbye(reason);
  }

  /** Drops their sockets without a word: they are believed to be dead. */
  abort(error: DuplexityError): void {
    for (const uplink of [...this.#leaving]) uplink.abort(error);
  }

  /** Closes them for good and resolves when that is done. */
  async close(error: DuplexityError): Promise<void> {
    const uplinks = [...this.#leaving];
    this.#pause.end();
    this.#leaving.clear();
    await Promise.all(uplinks.map((uplink) => uplink.close(error)));
  }

  async #tryAll(places: readonly URL[], isPartial: boolean): Promise<boolean> {
    const { servers, signal, make, establish } = this.#options;
    const before = servers.current;
    for (const url of places) {
      if (signal.aborted) return false;
      servers.use(url);
      const uplink = make();
      try {
        await establish(uplink, isPartial);
        return true;
      } catch (error) {
        await uplink.close(asDuplexityError(error));
      }
    }
    servers.use(before);
    return false;
  }

  async #places(): Promise<readonly URL[]> {
    if (this.#others().length === 0) await this.#pause.wait(GIVEN_AFTER_MS * (1 + Math.random() / 2));
    const others = this.#others();
    return others.length > 0 ? others : [this.#options.servers.given];
  }

  /** In any order, so that the clients of one hub spread over those that are left. Not the given address: it may lead back. */
  #others(): readonly URL[] {
    const taken = this.#options.taken()?.href;
    const others = this.#options.servers.alternatives.map((url) => ({ url, rank: Math.random() }));
    const rankOf = ({ url, rank }: (typeof others)[number]): number => rank + (url.href === taken ? 1 : 0);
    return others
      .sort((one, other) => rankOf(one) - rankOf(other))
      .slice(0, MAX_TRIES)
      .map(({ url }) => url);
  }
}
