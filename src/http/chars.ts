// Tables by byte and the few list rules of RFC 9110 §5.6, shared by the parsers.

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COLON = 0x3a;
export const DEL = 0x7f;

function table(allows: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (allows(code) ? 1 : 0));
}

/** RFC 9110 §5.6.2 `tchar`. */
export const TOKEN = table((code) => /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(code)));
/** RFC 9110 §5.5: HTAB, SP, VCHAR and obs-text, which nobody interprets. No other control character, no DEL. */
export const FIELD_VALUE = table((code) => code === TAB || (code >= SPACE && code !== DEL));
/**
 * What browsers and curl send in a path and query: printable ASCII. Without "#": a fragment has no place in a request
 * target (RFC 9112 §3.2), and readers disagree on what it cuts off.
 */
export const TARGET = table((code) => code > SPACE && code < 0x7f && code !== 0x23);

/** Whether `text[start, …)` is `lowerCase`, ignoring ASCII case. Only for text that was checked to be a token. */
export function isNamed(text: string, start: number, lowerCase: string): boolean {
  for (let at = 0; at < lowerCase.length; at++) {
    if ((text.charCodeAt(start + at) | 0x20) !== lowerCase.charCodeAt(at)) return false;
  }
  return true;
}

/** Whether all of `text` is a token. */
export function isToken(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (TOKEN[text.charCodeAt(at)] !== 1) return false;
  return text.length > 0;
}

/** `text` without spaces and tabs around it. Not `trim()`: that takes NBSP and others away too. */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

export function isSpace(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** The members of a comma list of tokens in lower case, or null if one is no token. Empty members are skipped (§5.6.1). */
export function tokenList(text: string): string[] | null {
  const tokens: string[] = [];
  for (const part of text.split(",")) {
    const token = trimSpace(part);
    if (token === "") continue;
    if (!isToken(token)) return null;
    tokens.push(token.toLowerCase());
  }
  return tokens;
}

/** Bytes of a stranger for a message: at most 40 characters, nothing that a terminal would act on. */
export function quote(text: string): string {
  const shown = text.length > 40 ? `${text.slice(0, 39)}…` : text;
  return JSON.stringify(shown).replace(/[\x7f-\xa0]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}
