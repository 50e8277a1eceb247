// Where the server can be reached: the address that the user gave, and those of
// other hubs that it has named. Which one to dial next; dials nothing itself.

import { dialerUrl } from "./server-url.ts";

/** Of those that a server names. */
const MAX_ALTERNATIVES = 8;

export class Servers {
  readonly #given: URL;
  readonly #random: () => number;
  #alternatives: readonly URL[] = [];
  #current: URL;
  /** Those that were of no use since one answered. */
  readonly #tried = new Set<string>();
  /** Whether all of them were, so that it has begun anew. */
  #hasTriedAll = false;

  /** @param given The control socket's address, `ws(s)://host[:port]/control`. */
  constructor(given: URL, random: () => number = Math.random) {
    this.#given = given;
    this.#current = given;
    this.#random = random;
  }

  /** Where the user has said that the server is. */
  get given(): URL {
    return this.#given;
  }

  /** The control socket's address to dial. */
  get current(): URL {
    return this.#current;
  }

  /**
   * What the server at the other end of `current` has said of others, as `ws(s)://…/dialer`. One that is less protected is
   * left out. It is kept itself, too: when it refuses this client, and the others are gone, it is the only one to come back to.
   */
  learn(dataPlaneUris: readonly string[]): void {
    this.#tried.clear();
    this.#hasTriedAll = false;
    this.#alternatives = [this.#current, ...this.#controlUrls(dataPlaneUris).slice(0, MAX_ALTERNATIVES)];
  }

  /** The server at the other end of `current` sends this client elsewhere: any of these is next. Answers false if none can be. */
  redirect(dataPlaneUris: readonly string[]): boolean {
    const urls = this.#controlUrls(dataPlaneUris);
    const url = urls[Math.floor(this.#random() * urls.length)];
    if (url === undefined) return false;
    this.#current = url;
    return true;
  }

  /** Addresses of other hubs than the one at `current`, as far as they are known. */
  get alternatives(): readonly URL[] {
    return this.#others().filter((url) => url !== this.#given);
  }

  /** Whether there is another one that was not tried since one answered. */
  get hasUntried(): boolean {
    return !this.#hasTriedAll && this.#untried().length > 0;
  }

  /**
   * The present one is of no use now: any other that was not tried yet is next, so that a dead node's clients spread over those
   * that are left, and come to one that lives before they come to a dead one again.
   *
   * @param taken Where the other link leads, which is disturbed only if there is nothing else.
   */
  turn(taken: URL | null): void {
    this.#tried.add(this.#current.href);
    if (this.#untried().length === 0) {
      this.#hasTriedAll = true;
      this.#tried.clear();
    }
    const all = this.#untried();
    const free = all.filter(({ href }) => href !== taken?.href);
    // The given one may be a balancer's, which still believes in the node that is gone.
    const named = free.filter((url) => url !== this.#given);
    const [others = all] = [named, free].filter((urls) => urls.length > 0);
    this.#current = others[Math.floor(this.#random() * others.length)] ?? this.#given;
  }

  /** This one is next. */
  use(url: URL): void {
    this.#current = url;
  }

  /**
   * Whether `dataPlaneUri` leads to the hub alone that has named it, as far as can be told: one without an address of its own
   * names what the user gave, and no others.
   */
  isOwn(dataPlaneUri: string): boolean {
    const [url] = this.#controlUrls([dataPlaneUri]);
    return url !== undefined && (url.href !== this.#given.href || this.alternatives.length > 0);
  }

  /** The hub itself is next that has named `dataPlaneUri` as its own: at `current` a balancer may lead to others as well. */
  useOwnOf(dataPlaneUri: string): void {
    this.#current = this.#controlUrls([dataPlaneUri])[0] ?? this.#current;
  }

  #controlUrls(dataPlaneUris: readonly string[]): URL[] {
    return dataPlaneUris.flatMap((uri) => {
      try {
        const url = dialerUrl(this.#given, uri);
        url.pathname = "/control";
        url.search = "";
        return url;
      } catch {
        // It would be reached without TLS: that is no other way to the same server.
        return [];
      }
    });
  }

  #untried(): URL[] {
    return this.#others().filter(({ href }) => !this.#tried.has(href));
  }

  #others(): URL[] {
    const { href } = this.#current;
    const all = [this.#given, ...this.#alternatives];
    return all.filter((url, index) => url.href !== href && all.findIndex((other) => other.href === url.href) === index);
  }
}
