// Rows of `status` and `list`: as columns where they fit, else a few lines for
// each row. Knows no stream.

import { escapeControls, wrap } from "./format.ts";
import type { Palette } from "./style.ts";

export interface Table {
  readonly head: readonly string[];
  /** The first cell names the row. An empty cell is left out where there are no columns. */
  readonly rows: readonly (readonly string[])[];
  /** Columns whose figures stand flush right. */
  readonly rightAligned?: readonly number[];
}

const GAP = 2;

/** The table's lines. `width` Infinity: always as columns. */
export function layOut(table: Table, width: number, palette: Palette): string[] {
  const rows = table.rows.map((row) => row.map(escapeControls));
  const widths = table.head.map((title, index) =>
    Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  );
  const total = widths.reduce((sum, each) => sum + each + GAP, -GAP);
  if (total > width) return rows.flatMap((row) => cardOf(row, table.head, width));
  const lineOf = (cells: readonly string[]) =>
    cells
      .map((cell, index) => {
        const size = widths[index] ?? 0;
        return table.rightAligned?.includes(index) ? cell.padStart(size) : cell.padEnd(size);
      })
      .join(" ".repeat(GAP))
      .trimEnd();
  return [palette.faint(lineOf(table.head)), ...rows.map(lineOf)];
}

/** The row's name, and below it `target localhost:9090 · up since 12:04 · …`. */
function cardOf(row: readonly string[], head: readonly string[], width: number): string[] {
  const [name = "", ...cells] = row;
  const facts = cells.flatMap((cell, index) =>
    cell === "" ? [] : [`${(head[index + 1] ?? "").toLowerCase()} ${cell}`],
  );
  // A fact is not broken between its words: only the separators may become line ends.
  const unbroken = facts.map((fact) => fact.replaceAll(" ", "\u00a0"));
  return [name, ...wrap(unbroken.join(" · "), width, GAP).replaceAll("\u00a0", " ").split("\n")];
}
