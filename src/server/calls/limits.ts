// What calls between nodes may cost, each number with its reason.

/** How long a backend node may take to accept a connection. */
export const CONNECT_TIMEOUT_MS = 1_000;
/** How long it may take to answer: longer than its own Redis may (1 s), so that what Redis refuses is told as that. */
export const ANSWER_TIMEOUT_MS = 2_000;
/** How long a call may take over all addresses that are tried, with the wait for its turn in it. */
export const CALL_TIMEOUT_MS = 5_000;
/** Whoever gets a turn has at least so long: more than the backend's own Redis may take. Else the call is not sent. */
export const MIN_TURN_MS = 1_000;
/** Calls at one backend node at once, by what they are for: none waits for another lane's crowd. */
export const MAX_RUNNING = {
  /** By which a node stays known and keeps its names: its beat, and two rounds of renewals. */
  vital: 3,
  /** For visitors, of whom anybody can send a crowd: who has a name. */
  lookup: 8,
  /** Of those that wait for a Redis that does not answer (0.6 s), so many are told in a second. */
  other: 16,
} as const;
export type Lane = keyof typeof MAX_RUNNING;
export const MAX_RUNNING_CALLS = MAX_RUNNING.vital + MAX_RUNNING.lookup + MAX_RUNNING.other;
/** Connections to one backend node: one for each call, and one for its events. */
export const MAX_CONNECTIONS = MAX_RUNNING_CALLS + 1;
/** Calls of one lane that wait for their turn at one backend node; further ones are refused at once. */
export const MAX_WAITING_CALLS = 2_000;
/** A call, and its answer to anything but a list: two of the largest values of the store fit. */
export const MAX_CALL_BYTES = 1_048_576;
/** What opens a session: two words. */
export const MAX_SESSION_BYTES = 4_096;
/** Bytes of calls, all together, whose session nobody has proved yet: anybody can send them. Further ones are refused. */
export const MAX_UNPROVEN_BYTES = 16_777_216;
/** An answer: all accounts, tokens or bans of a large server. */
export const MAX_ANSWER_BYTES = 67_108_864;
/** How often a backend node says that its stream of events still lives. */
export const BEAT_MS = 1_000;
/** A stream that is silent for so long is dead. */
export const SILENCE_MS = 3_000;
/** Events that wait for one node; with more its stream is cut, and it looks for itself what it has missed. */
export const MAX_QUEUED_EVENT_BYTES = 8_388_608;
/** One event's line. */
export const MAX_EVENT_CHARS = 1_048_576;
/** Nodes that listen to one backend node. */
export const MAX_STREAMS = 1_024;
