// Changes single fields of a head that goes to the target. Not for the hot path.

import { visitFields } from "./fields.ts";

/** One field line as it goes on: as it came, another one (with its CRLF), or "" for none. */
export type FieldEdit = (name: string, value: string, line: string) => string;

/**
 * `head` with every field line as `edit` answers it; the start line stays.
 *
 * @param head As `buildRequestHead` makes it. `edit` gets names in lower case.
 */
export function editFields(head: string, edit: FieldEdit): string {
  const start = head.indexOf("\r\n") + 2;
  let edited = head.slice(0, start);
  visitFields(head, start, (name, value, line) => {
    edited += edit(name.toLowerCase(), value, line);
  });
  return `${edited}\r\n`;
}
