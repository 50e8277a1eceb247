// Columns for `status` and `list`. The widest text decides a column, and the
// last column gives way when the terminal is too narrow.

import { cut, escapeControls } from "./format.ts";
import type { Palette } from "./style.ts";

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns whose figures stand flush right. */
  readonly rightAligned?: readonly number[];
}

const GAP = 2;

/** The table as lines, at most `width` columns wide each as long as the last column can give way. */
export function layOut(table: Table, width: number, palette: Palette): string[] {
  const rows = table.rows.map((row) => row.map(escapeControls));
  const widths = table.head.map((title, index) =>
    Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const last = widths.length - 1;
  const before = widths.slice(0, last).reduce((sum, each) => sum + each + GAP, 0);
  const room = Math.max(8, width - before);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        if (index === last) return cut(cell, room);
        const size = widths[index] ?? 0;
        return table.rightAligned?.includes(index) ? cell.padStart(size) : cell.padEnd(size);
      })
      .join(" ".repeat(GAP))
      .trimEnd();
  return [palette.faint(line(table.head)), ...rows.map(line)];
}
