// Words of outside as they may be kept and shown to people: no control characters, not too long.

/** Also what turns a line around: a log must read as it was written. */
const CONTROL = /\p{Cc}|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

export function proseOf(text: string, maxChars: number): string {
  const plain = text.slice(0, maxChars).replace(CONTROL, " ").trim();
  return text.length > maxChars ? `${plain}…` : plain;
}
