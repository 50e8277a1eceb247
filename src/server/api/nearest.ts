// Which of many names somebody may have meant. Pure.

/** So many are told. */
const MAX_NEAREST = 3;
/** Longer names are not compared: the work grows with the square. */
const MAX_COMPARED_CHARS = 64;
/** Of more names the first ones are compared. */
const MAX_COMPARED_NAMES = 5_000;

/** The names that are most like `word`, nearest first: a few letters wrong, or one is the start of the other. */
export function nearestTo(word: string, names: Iterable<string>): readonly string[] {
  if (word.length > MAX_COMPARED_CHARS) return [];
  const most = Math.max(1, Math.floor(word.length / 3));
  const found: { readonly name: string; readonly distance: number }[] = [];
  let compared = 0;
  for (const name of new Set(names)) {
    if (name.length > MAX_COMPARED_CHARS) continue;
    compared += 1;
    if (compared > MAX_COMPARED_NAMES) break;
    const isStart = word.length >= 3 && (name.startsWith(word) || word.startsWith(name));
    const distance = isStart ? 1 : distanceOf(word.toLowerCase(), name.toLowerCase(), most);
    if (distance <= most) found.push({ name, distance });
  }
  return found
    .sort((one, other) => one.distance - other.distance)
    .slice(0, MAX_NEAREST)
    .map(({ name }) => name);
}

/** Letters to change, add or leave out (Levenshtein); anything above `most` when it is more than that. */
function distanceOf(one: string, other: string, most: number): number {
  if (Math.abs(one.length - other.length) > most) return most + 1;
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? most + 1;
}
