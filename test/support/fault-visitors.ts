// Visitors of a cluster that fails: numbered POSTs, each told to the checker with whose target has answered. Judges nothing
// and breaks nothing.

import { request as httpRequest } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { ClaimNote, FaultChecker } from "./fault-checker.ts";

/** Where they go. */
export interface VisitPlaces {
  /** Each node's that takes visitors, and haproxy's. */
  readonly ports: readonly number[];
  readonly names: readonly string[];
}

/** Longer than it takes to be held and answered after the longest fault. */
const VISIT_MS = 20_000;
/** A visitor comes this often. */
const VISIT_EVERY_MS = 40;
/** Visitors at once; more do not come. */
const MAX_VISITS = 200;

export class FaultVisitors {
  readonly #checker: FaultChecker;
  readonly #places: VisitPlaces;
  #visits = 0;
  #nextId = 0;

  constructor(checker: FaultChecker, places: VisitPlaces) {
    this.#checker = checker;
    this.#places = places;
  }

  get ports(): readonly number[] {
    return this.#places.ports;
  }

  /** At random places and names, until the returned function is called; it resolves when the last has its answer. */
  come(random: () => number): () => Promise<void> {
    const { ports, names } = this.#places;
    let isOver = false;
    const all = new Set<Promise<void>>();
    const loop = (async () => {
      while (!isOver) {
        await delay(VISIT_EVERY_MS);
        if (this.#visits >= MAX_VISITS) continue;
        const port = ports[Math.floor(random() * ports.length)] ?? 0;
        const name = names[Math.floor(random() * names.length)] ?? "cat1";
        const visit = this.visit(port, name).then(() => {});
        all.add(visit);
        void visit.finally(() => all.delete(visit));
      }
    })();
    return async () => {
      isOver = true;
      await loop;
      await Promise.all(all);
    };
  }

  /** One numbered POST; answers whose target answered, null if none did. Never rejects. */
  async visit(port: number, name: string, limitMs = VISIT_MS): Promise<ClaimNote | null> {
    this.#visits += 1;
    const sentAt = performance.now();
    try {
      const request = httpRequest({
        ...{ host: "127.0.0.1", port, path: `/${this.#nextId++}`, method: "POST", agent: false },
        ...{ headers: { host: `${name}.localhost` }, signal: AbortSignal.timeout(limitMs) },
      });
      request.end("x");
      const response: AsyncIterable<Buffer> & { statusCode?: number } = await new Promise((resolve, reject) => {
        request.once("response", resolve).on("error", reject);
      });
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      const claim = this.#checker.claims[Number(Buffer.concat(chunks).toString())];
      if (response.statusCode !== 200 || claim === undefined) return null;
      this.#checker.answered({ name, path: port, claim, sentAt, at: performance.now() });
      return claim;
    } catch {
      return null;
    } finally {
      this.#visits -= 1;
    }
  }
}
