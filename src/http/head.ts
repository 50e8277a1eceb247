// What request and answer heads share: the text that they were read from, to
// look things up in when somebody asks.

import { visitFields } from "./fields.ts";

export abstract class Head {
  readonly #text: string;
  readonly #fieldsStart: number;

  /** @param text A head whose fields were found to be sound. */
  constructor(text: string, fieldsStart: number) {
    this.#text = text;
    this.#fieldsStart = fieldsStart;
  }

  /** Value of the first field `name` (lower case), or null. Scans: not for the hot path. */
  field(name: string): string | null {
    const all = this.fields();
    for (let at = 0; at < all.length; at += 2) {
      if (all[at]?.toLowerCase() === name) return all[at + 1] ?? null;
    }
    return null;
  }

  /** Values of all fields `name` (lower case), in order. Scans: not for the hot path. */
  values(name: string): string[] {
    const all = this.fields();
    return all.filter((_value, at) => at % 2 === 1 && all[at - 1]?.toLowerCase() === name);
  }

  /** All fields in order as name, value, name, value, … as they came. Scans: not for the hot path. */
  fields(): string[] {
    const all: string[] = [];
    visitFields(this.#text, this.#fieldsStart, (name, value) => all.push(name, value));
    return all;
  }
}
