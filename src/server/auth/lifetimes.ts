// How long everything of the sign-in lasts, in one place, since the times depend on each other. No code.

const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const DAY_S = 24 * HOUR_S;

/** An authorization code: the command line redeems it at once. */
export const CODE_S = MINUTE_S;
/** A device code and the user code that belongs to it. */
export const DEVICE_CODE_S = 10 * MINUTE_S;
/** An ID token, and the access token beside it. */
export const ID_TOKEN_S = HOUR_S;
/** A refresh token that is not used; each use gives a new one. */
export const REFRESH_TOKEN_S = 30 * DAY_S;
/** All that comes of one sign-in of a command line, however often it is refreshed. */
export const GRANT_S = 365 * DAY_S;
/** The browser's sign-in at this server; each use of the provider makes it longer. */
export const SESSION_S = 7 * DAY_S;
/** A browser is known by an account that has signed in with it. */
export const KNOWN_BROWSER_S = 90 * DAY_S;
/** What a person was about to do when the sign-in came in between. */
export const CONTINUATION_S = HOUR_S;
/** A sign-in at the outside provider, with all that it asks there. */
export const OUTSIDE_SIGN_IN_S = 15 * MINUTE_S;
/** A visitor's one-time code, from this server to the pipe's hostname. */
export const VISITOR_CODE_S = MINUTE_S;
/** What has ended is kept so much longer, so that whoever comes late reads "expired" instead of "unknown". */
export const KEPT_AFTER_END_S = 5 * MINUTE_S;

/** A key signs for so long; then the next one does. */
export const KEY_AGE_MS = 90 * DAY_S * 1_000;
/** A new key is published so long before it signs: other processes and their callers have looked again by then. */
export const KEY_AHEAD_MS = HOUR_S * 1_000;
/** How often a process looks whether another one has made a key. */
export const KEY_RELOAD_MS = 10 * MINUTE_S * 1_000;
