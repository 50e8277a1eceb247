// Exchanges that serve nobody at the moment, so that a new visitor costs few objects and an idle one none.

import type { ProxyContext } from "./context.ts";
import { Exchange } from "./exchange.ts";

/** More are made when needed, and dropped afterwards. */
const MAX_SPARE_EXCHANGES = 256;

export class ExchangePool {
  readonly #context: ProxyContext;
  readonly #spare: Exchange[] = [];

  constructor(context: ProxyContext) {
    this.#context = context;
  }

  /** One that serves nobody. */
  take(): Exchange {
    return this.#spare.pop() ?? new Exchange(this.#context);
  }

  /** Takes one back that has ended. */
  put(exchange: Exchange): void {
    if (this.#spare.length < MAX_SPARE_EXCHANGES) this.#spare.push(exchange);
  }
}
