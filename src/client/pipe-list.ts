// The pipes that a link is dialled with: those that are not closed, and which closed ones the hub was not told of yet.
// Dials nothing; the streams of a pipe that is closed are not its business.

import type { Control } from "./control.ts";
import type { SealedPipe } from "./gate.ts";

export class PipeList {
  readonly #clientId: string;
  #open: readonly SealedPipe[];
  /** Names of pipes that were closed, and of which the server may still think that they are open. */
  #untold: ReadonlySet<string> = new Set();

  constructor(clientId: string, pipes: readonly SealedPipe[]) {
    this.#clientId = clientId;
    this.#open = pipes;
  }

  get open(): readonly SealedPipe[] {
    return this.#open;
  }

  close(names: readonly string[]): void {
    this.#open = this.#open.filter(({ name }) => !names.includes(name));
    this.#untold = new Set([...this.#untold, ...names]);
  }

  /** A dial with `pipes` leaves out what was closed before it, and brings back what was closed while it was under way. */
  dialled(pipes: readonly SealedPipe[]): void {
    const closed = pipes.filter((pipe) => !this.#open.includes(pipe));
    this.#untold = new Set(closed.map(({ name }) => name));
  }

  /** Resolves when the server has freed the names, or at once when it cannot be told now. Never rejects. */
  async tell(control: Control | null): Promise<void> {
    const names = [...this.#untold];
    if (control?.isKnown !== true || names.length === 0) return;
    try {
      await control.closePipes({ type: "closePipesRequest", clientId: this.#clientId, names });
      this.#untold = new Set([...this.#untold].filter((name) => !names.includes(name)));
    } catch {
      // The control socket is gone. The next one tells it, or the next dial, which is without them.
    }
  }
}
