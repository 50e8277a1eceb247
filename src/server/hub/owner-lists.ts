// What each owner has in the registry, for many who ask at once: one look for all of them. Keeps no answer.

import type { Registry, RegistryRecord } from "../backend/registry.ts";

/** Records of one owner that are looked at, those in grace included. */
const MAX_LISTED = 10_000;

type List = Promise<readonly RegistryRecord[]>;

export class OwnerLists {
  readonly #registry: Pick<Registry, "list">;
  readonly #running = new Map<string, List>();
  /** Looks that begin when the one that runs is over. Like those, of as many owners as have dialers at this moment. */
  readonly #next = new Map<string, List>();

  constructor(registry: Pick<Registry, "list">) {
    this.#registry = registry;
  }

  /**
   * The owner's records as they are now or later: the look that runs already may have been too early. So an owner with many
   * names costs the registry one look at a time, however many of its clients come.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  of(ownerId: string): List {
    const running = this.#running.get(ownerId);
    if (running === undefined) return this.#begin(ownerId);
    const known = this.#next.get(ownerId);
    if (known !== undefined) return known;
    const begin = (): List => {
      this.#next.delete(ownerId);
      return this.#begin(ownerId);
    };
    const next = running.then(begin, begin);
    this.#next.set(ownerId, next);
    return next;
  }

  #begin(ownerId: string): List {
    const list = this.#registry.list(ownerId, MAX_LISTED).finally(() => {
      if (this.#running.get(ownerId) === list) this.#running.delete(ownerId);
    });
    this.#running.set(ownerId, list);
    return list;
  }
}
