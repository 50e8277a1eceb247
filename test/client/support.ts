// What the client's tests share: listening on a free port, and a stream's other end that remembers what came.

import type { AddressInfo, Server } from "node:net";
import type { DuplexityError, StreamHandler } from "../../src/protocol/index.ts";

/** Listens on a free port of `host` and answers it. */
export async function listen(server: Server, host = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return (server.address() as AddressInfo).port;
}

export interface Collected {
  readonly handler: StreamHandler;
  readonly text: string;
  readonly byteLength: number;
  readonly isAccepted: boolean;
  readonly hasEnded: boolean;
  readonly reset: { readonly error: DuplexityError; readonly deliveredBytes: number | null } | null;
  received(bytes: number): Promise<void>;
  accepted(): Promise<void>;
  ended(): Promise<void>;
  wasReset(): Promise<{ readonly error: DuplexityError; readonly deliveredBytes: number | null }>;
}

/** A visitor: takes all that comes. `onData` may give credit back. */
export function collect(onData: (chunk: Buffer) => void = () => {}): Collected {
  const chunks: Buffer[] = [];
  let byteLength = 0;
  let isAccepted = false;
  let hasEnded = false;
  let reset: Collected["reset"] = null;
  let changed: (() => void)[] = [];
  const change = (): void => {
    const waiting = changed;
    changed = [];
    for (const wake of waiting) wake();
  };
  const until = async (isTrue: () => boolean): Promise<void> => {
    while (!isTrue()) await new Promise<void>((resolve) => changed.push(resolve));
  };
  return {
    handler: {
      onAccept() {
        isAccepted = true;
        change();
      },
      onData(chunk) {
        chunks.push(chunk);
        byteLength += chunk.length;
        onData(chunk);
        change();
      },
      onEnd() {
        hasEnded = true;
        change();
      },
      onDrain: change,
      onReset(error, deliveredBytes) {
        reset = { error, deliveredBytes };
        change();
      },
    },
    get text() {
      return Buffer.concat(chunks).toString();
    },
    get byteLength() {
      return byteLength;
    },
    get isAccepted() {
      return isAccepted;
    },
    get hasEnded() {
      return hasEnded;
    },
    get reset() {
      return reset;
    },
    received: (bytes) => until(() => byteLength >= bytes),
    accepted: () => until(() => isAccepted),
    ended: () => until(() => hasEnded),
    async wasReset() {
      await until(() => reset !== null);
      if (reset === null) throw new Error("not reset");
      return reset;
    },
  };
}
