// For any schedule of writes, cuts and resumes the bytes that arrive are the bytes that were sent, in order, once, and
// everything comes to rest. DUPLEXITY_PROPERTY_MS makes it search longer, DUPLEXITY_SEED starts where another run did.

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { passUntil, pendingTimers, resumeTime, stopTime } from "./support/fake-time.ts";
import { type Action, action, type Conversation, Play } from "./support/schedule.ts";

const SEARCH_MS = Number(process.env["DUPLEXITY_PROPERTY_MS"] ?? 8_000);
const SEED = Number(process.env["DUPLEXITY_SEED"] ?? Date.now() % 2_147_483_647);
const RUNS_PER_ROUND = 25;
/** Never stopped: how long the search goes on is a matter of the real clock. */
const realNow = performance.now.bind(performance);

/** Runs `property` on new schedules until the time is used up. A failure names its seed and the smallest schedule. */
function search(property: fc.IProperty<[Action[]]>): void {
  const until = realNow() + SEARCH_MS;
  for (let round = 0; realNow() < until; round += 1) {
    fc.assert(property, { seed: SEED + round, numRuns: RUNS_PER_ROUND });
  }
}

function isSettled({ opener, acceptor }: Conversation): boolean {
  return opener.isOver && (acceptor === null ? opener.hasReset : acceptor.isOver);
}

function checkConversation({ opener, acceptor, accepts }: Conversation): void {
  opener.check();
  if (acceptor === null) return;
  acceptor.check();
  const wasReset = opener.isGone || acceptor.isGone;
  if (wasReset) {
    expect(acceptor.receivedBytes).toBeLessThanOrEqual(opener.writtenBytes);
    expect(opener.receivedBytes).toBeLessThanOrEqual(acceptor.writtenBytes);
    // Each end knows: by its own doing, by being told, or because it had ended both ways before.
    for (const end of [opener, acceptor]) expect(end.isOver).toBe(true);
    return;
  }
  expect(acceptor.receivedBytes).toBe(opener.writtenBytes);
  expect(opener.receivedBytes).toBe(acceptor.writtenBytes);
  if (accepts === "at once") expect(opener.isAccepted).toBe(true);
}

describe("Session, for any schedule", () => {
  beforeEach(stopTime);
  afterEach(resumeTime);

  it(
    "delivers what was sent, in order, once, and comes to rest",
    () => {
      const property = fc.property(fc.array(action, { minLength: 1, maxLength: 60 }), (actions) => {
        const play = new Play(24 * 3_600_000);
        try {
          for (const step of actions) play.run(step);
          play.heal();
          passUntil(() => play.pair.isQuiet && play.conversations.every(isSettled), 600_000, 500);
          for (const conversation of play.conversations) checkConversation(conversation);
          expect(play.pair.openerClosed ?? play.pair.acceptorClosed).toBeNull();
        } finally {
          play.pair.dispose();
          passUntil(() => pendingTimers() === 0);
        }
      });
      search(property);
    },
    SEARCH_MS + 60_000,
  );

  it(
    "expires at both ends when no link comes back, and tells every stream",
    () => {
      const property = fc.property(fc.array(action, { minLength: 1, maxLength: 30 }), (actions) => {
        const play = new Play(30_000);
        try {
          for (const step of actions) play.run(step);
          play.cutOff();
          passUntil(() => play.pair.opener.isClosed && play.pair.acceptor.isClosed, 3_600_000, 1_000);
          for (const { opener, acceptor } of play.conversations) {
            opener.check();
            acceptor?.check();
            expect(opener.isOver).toBe(true);
            expect(acceptor?.isOver ?? true).toBe(true);
          }
          expect(play.pair.isQuiet).toBe(true);
        } finally {
          play.pair.dispose();
          passUntil(() => pendingTimers() === 0);
        }
      });
      search(property);
    },
    SEARCH_MS + 60_000,
  );
});
