// What can happen to two sessions, as data: fast-check makes schedules of it, and `play` carries one out.

import fc from "fast-check";
import { pass } from "./fake-time.ts";
import { REQUEST, SessionPair } from "./session-pair.ts";
import { StreamEnd } from "./stream-end.ts";

type Side = "opener" | "acceptor";
export type Action =
  | { readonly do: "open"; readonly accepts: "at once" | "later" | "never" }
  | {
      readonly do: "write";
      readonly stream: number;
      readonly side: Side;
      readonly size: number;
      readonly asText: boolean;
      readonly isObedient: boolean;
    }
  | { readonly do: "end" | "reset" | "stall" | "readOn"; readonly stream: number; readonly side: Side }
  | { readonly do: "consumeSome"; readonly stream: number; readonly side: Side; readonly bytes: number }
  | { readonly do: "accept"; readonly stream: number }
  /** Both ends learn of it, each in its own time; what is under way to an end that has learnt is lost. */
  | { readonly do: "cut"; readonly leftAfterMs: number; readonly rightAfterMs: number; readonly redialAfterMs: number }
  /** A new link, while the old one goes on delivering for a while. */
  | { readonly do: "swap"; readonly delayMs: number; readonly oldEndsAfterMs: number }
  | { readonly do: "blackHole"; readonly side: Side }
  | { readonly do: "slow"; readonly side: Side; readonly delayMs: number; readonly bytesPerMs: number }
  | { readonly do: "split"; readonly side: Side; readonly pieceBytes: number }
  | { readonly do: "wait"; readonly ms: number };

const side = fc.constantFrom<Side>("opener", "acceptor");
const stream = fc.nat(7);
const size = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 200 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 20_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(16_383, 16_384, 16_385, 65_536, 131_072, 262_144, 262_145) },
  { weight: 2, arbitrary: fc.integer({ min: 16_385, max: 300_000 }) },
);
const delay = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 200 }));

export const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("open" as const),
      accepts: fc.constantFrom("at once" as const, "at once" as const, "later" as const, "never" as const),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant("write" as const),
      stream,
      side,
      size,
      asText: fc.boolean(),
      isObedient: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("end" as const, "end" as const, "reset" as const, "stall" as const, "readOn" as const),
      stream,
      side,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("consumeSome" as const),
      stream,
      side,
      bytes: fc.integer({ min: 1, max: 300_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("accept" as const), stream }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("cut" as const),
      leftAfterMs: delay,
      rightAfterMs: delay,
      redialAfterMs: delay,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("swap" as const),
      delayMs: delay,
      oldEndsAfterMs: fc.integer({ min: 0, max: 2_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("blackHole" as const), side }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("slow" as const),
      side,
      delayMs: delay,
      bytesPerMs: fc.constantFrom(100, 1_000, 10_000, Number.POSITIVE_INFINITY),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("split" as const),
      side,
      pieceBytes: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 500, max: 70_000 })),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 20 }) },
        { weight: 3, arbitrary: fc.integer({ min: 0, max: 400 }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 20_000 }) },
      ),
    }),
  },
);

/** A stream with both its ends; the acceptor's exists once OPEN has come. */
export interface Conversation {
  readonly opener: StreamEnd;
  acceptor: StreamEnd | null;
  readonly accepts: "at once" | "later" | "never";
}

/** Two sessions, their streams, and the link of the moment. */
export class Play {
  readonly conversations: Conversation[] = [];
  readonly pair: SessionPair;
  readonly #byId = new Map<number, Conversation>();
  #isCutOff = false;

  constructor(resumeWindowMs: number) {
    this.pair = new SessionPair({
      resumeWindowMs,
      onOpen: (stream) => {
        const conversation = this.#byId.get(stream.id);
        if (conversation === undefined) throw new Error(`Nobody opened stream ${stream.id}`);
        const key = stream.id * 2;
        const end = new StreamEnd(`acceptor's end of ${stream.id}`, key + 1, key);
        conversation.acceptor = end;
        end.stream = stream;
        stream.handler = end;
        if (conversation.accepts === "at once") stream.accept();
        else if (conversation.accepts === "never") end.reset("DPX_TARGET_REFUSED", 0);
      },
    });
    this.pair.connect();
  }

  run(step: Action): void {
    switch (step.do) {
      case "open":
        this.#open(step.accepts);
        return;
      case "write": {
        const end = this.#end(step.stream, step.side);
        if (end === null) return;
        end.isObedient = step.isObedient;
        end.write(step.size, step.asText);
        return;
      }
      case "end":
        this.#end(step.stream, step.side)?.end();
        return;
      case "reset":
        this.#end(step.stream, step.side)?.reset("DPX_CANCELLED");
        return;
      case "stall":
        this.#end(step.stream, step.side)?.stall();
        return;
      case "readOn":
        this.#end(step.stream, step.side)?.readOn();
        return;
      case "consumeSome":
        this.#end(step.stream, step.side)?.consumeSome(step.bytes);
        return;
      case "accept":
        this.#end(step.stream, "acceptor")?.stream?.accept();
        return;
      case "cut":
        this.#cut(step.leftAfterMs, step.rightAfterMs, step.redialAfterMs);
        return;
      case "swap":
        this.#cut(step.oldEndsAfterMs, step.oldEndsAfterMs, null);
        this.pair.connect(step.delayMs);
        return;
      case "blackHole":
        this.#link(step.side).isBlackHole = true;
        return;
      case "slow": {
        const link = this.#link(step.side);
        link.delayMs = step.delayMs;
        link.bytesPerMs = step.bytesPerMs;
        return;
      }
      case "split":
        this.#link(step.side).pieceBytes = step.pieceBytes;
        return;
      case "wait":
        pass(step.ms);
    }
  }

  /** A good link, everybody reads, every stream is ended: from here on all must come to rest. */
  heal(): void {
    this.pair.connect();
    for (const { opener, acceptor } of this.conversations) {
      opener.readOn();
      acceptor?.readOn();
    }
    pass(1_000);
    for (const { opener, acceptor } of this.conversations) {
      acceptor?.stream?.accept();
      for (const end of [opener, acceptor]) {
        end?.readOn();
        end?.end();
      }
    }
  }

  /** Nothing passes on any link any more, and no other one comes. */
  cutOff(): void {
    this.#isCutOff = true;
    for (const { left, right } of this.pair.wires) {
      left.isBlackHole = true;
      right.isBlackHole = true;
    }
  }

  #open(accepts: Conversation["accepts"]): void {
    if (this.pair.opener.isClosed) return;
    const id = this.conversations.length + 1;
    const opener = new StreamEnd(`opener's end of ${id}`, id * 2, id * 2 + 1);
    const conversation = { opener, acceptor: null, accepts };
    this.conversations.push(conversation);
    this.#byId.set(id, conversation);
    opener.stream = this.pair.opener.open(REQUEST, opener);
    if (opener.stream.id !== id) throw new Error(`Stream ${opener.stream.id} was opened, expected ${id}`);
  }

  #cut(leftAfterMs: number, rightAfterMs: number, redialAfterMs: number | null): void {
    const wire = this.pair.wires.at(-1);
    if (wire === undefined) return;
    setTimeout(() => wire.left.end(), leftAfterMs);
    setTimeout(() => wire.right.end(), rightAfterMs);
    if (redialAfterMs === null) return;
    setTimeout(() => {
      if (!this.#isCutOff) this.pair.connect();
    }, redialAfterMs);
  }

  #end(index: number, who: Side): StreamEnd | null {
    const conversation = this.conversations[index % Math.max(1, this.conversations.length)];
    return conversation === undefined ? null : conversation[who];
  }

  #link(who: Side) {
    const wire = this.pair.wires.at(-1);
    if (wire === undefined) throw new Error("There is no link yet");
    return who === "opener" ? wire.left : wire.right;
  }
}
