// Reads user and password out of a request's Authorization. Checks neither.

export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

/** A longer field holds no user and password that a gate could have: 128 characters and 256, in UTF-8 and base64. */
const MAX_CREDENTIALS_CHARS = 2_560;
/** RFC 7617 §2 and RFC 9110 §11.4: the scheme in any case, spaces, token68. */
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

/**
 * RFC 7617 §2. Null for what is not one Basic field with UTF-8 in it: of two, the gate might read one and whoever comes
 * next the other.
 */
export function readBasicCredentials(values: readonly string[]): BasicCredentials | null {
  const [value = ""] = values;
  if (values.length !== 1 || value.length > MAX_CREDENTIALS_CHARS) return null;
  const [, encoded = ""] = BASIC.exec(value) ?? [];
  const text = decodeUtf8(Buffer.from(encoded, "base64"));
  const colon = text?.indexOf(":") ?? -1;
  if (text === null || colon === -1) return null;
  // As the gate has them: see gate-password.ts.
  return { user: text.slice(0, colon).normalize(), password: text.slice(colon + 1).normalize() };
}

function decodeUtf8(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
