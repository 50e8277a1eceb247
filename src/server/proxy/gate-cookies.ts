// The gate's own cookies among a visitor's: found, set, and kept from the target. What their values mean is in
// gate-tokens.ts.

/**
 * RFC 6265bis §4.1.3.2: the browser takes a cookie of this prefix from this very hostname only, over a connection that
 * nobody reads (or on loopback): no other pipe can set one. Compared with case, as the browser sends it.
 */
const PREFIX = "__Host-duplexity-";
/** Says who signed in. */
export const VISITOR_COOKIE = `${PREFIX}visitor`;
/** Says that this browser began a sign-in. */
export const SIGN_IN_COOKIE = `${PREFIX}sign-in`;

/** Of one name so many values are looked at; honest browsers send one. */
const MAX_VALUES = 4;

/** Values of the cookie `name` in a request's Cookie fields, at most `MAX_VALUES`. RFC 6265 §5.4: `name=value; name=value`. */
export function cookieValues(fields: readonly string[], name: string): readonly string[] {
  const start = `${name}=`;
  const values: string[] = [];
  for (const field of fields) {
    // Most requests have none: splitting 64 KiB of other cookies is saved.
    if (!field.includes(start)) continue;
    for (const pair of field.split(";")) {
      const trimmed = pair.trim();
      if (trimmed.startsWith(start) && values.length < MAX_VALUES) values.push(trimmed.slice(start.length));
    }
  }
  return values;
}

/** A Cookie field's value without the gate's pairs; null when nothing is left. The others stay as they were written. */
export function withoutGateCookies(value: string): string | null {
  if (!value.includes(PREFIX)) return value;
  const others = value.split(";").filter((pair) => !pair.trim().startsWith(PREFIX));
  const kept = others.join(";").trim();
  return kept === "" ? null : kept;
}

/** A Set-Cookie line. `maxAgeSeconds` 0 takes it away. No `Domain`: it is this hostname's alone. */
export function setCookie(name: string, value: string, maxAgeSeconds: number): string {
  return `Set-Cookie: ${name}=${value}; Max-Age=${maxAgeSeconds}; Path=/; Secure; HttpOnly; SameSite=Lax\r\n`;
}
