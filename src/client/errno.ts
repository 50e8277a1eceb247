// The system's error codes in an error, wherever they hide.

/** `code` of the error, of each attempt when several addresses were tried, and of its causes. Outermost first. */
export function errnoCodes(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  const codes = "code" in error && typeof error.code === "string" ? [error.code] : [];
  const attempts = error instanceof AggregateError ? error.errors.flatMap(errnoCodes) : [];
  return [...codes, ...attempts, ...errnoCodes(error.cause)];
}
