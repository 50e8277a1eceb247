// What an entry is, and what can become of it and of a log. Types, and what they weigh.

export interface Entry {
  readonly json: string;
  /** Unix time in ms from which on it is gone; null: never. */
  readonly endsAt: number | null;
}

export type Change =
  | { readonly kind: "put"; readonly key: string; readonly entry: Entry }
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "append"; readonly log: string; readonly json: string };

/** Characters that an entry counts for. */
export function weigh(key: string, entry: Entry): number {
  return key.length + entry.json.length;
}

export function weighChange(change: Change): number {
  if (change.kind === "put") return weigh(change.key, change.entry);
  return change.kind === "delete" ? change.key.length : change.log.length + change.json.length;
}
