// Counts how often something outside this process let it down, by standing before it. It changes no call and no answer.

/** How many calls have failed. */
export class FailureCount {
  total = 0;
  readonly #counts: (error: unknown) => boolean;

  /** @param counts Which rejections are failures. @default all */
  constructor(counts: (error: unknown) => boolean = () => true) {
    this.#counts = counts;
  }

  add(error: unknown): void {
    if (this.#counts(error)) this.total += 1;
  }
}

/** `target` itself to whoever calls it; each promise of a method that rejects is added to `failures`. */
export function countFailures<T extends object>(target: T, failures: FailureCount): T {
  const add = (error: unknown): never => {
    failures.add(error);
    throw error;
  };
  return new Proxy(target, {
    get(from, key) {
      const value: unknown = Reflect.get(from, key, from);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(value, from, args);
        return answer instanceof Promise ? answer.catch(add) : answer;
      };
    },
  });
}
