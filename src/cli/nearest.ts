// Which of the known words somebody meant: for "did you mean" in messages.

/** Longer words are not compared: nobody mistypes a flag of that size, and the comparison is quadratic. */
const MAX_WORD_CHARS = 64;

/**
 * The candidate that is fewest edits away from `word`, or null if none is close.
 *
 * @param maxEdits @default two of five letters
 */
export function nearest(word: string, candidates: readonly string[], maxEdits?: number): string | null {
  if (word.length > MAX_WORD_CHARS) return null;
  const wanted = word.toLowerCase();
  const allowed = maxEdits ?? Math.max(1, Math.floor(wanted.length * 0.4));
  let best: string | null = null;
  let bestDistance = allowed + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
