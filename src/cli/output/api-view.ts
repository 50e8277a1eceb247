// What commands that ask a server show: a table, a sentence, one thing to copy, or JSON lines. Asks nobody itself.

import type { Fields } from "../api-answer.ts";
import { escapeControls, wrap } from "./format.ts";
import { type JsonLine, writeJsonLine } from "./json-lines.ts";
import { columnsOf, type LookOptions, lookOf, type Output } from "./style.ts";
import { layOut, type Table } from "./table.ts";

export interface ApiView {
  /** Rows as a table, or each of `objects` as a JSON line. */
  rows(type: string, objects: readonly Fields[], table: Table & { readonly none: string }): void;
  /** A thing that is done: one line, or a JSON line. */
  done(sentence: string, line: JsonLine): void;
  /** A secret or a link that is shown once: bare on stdout when that is no terminal, so that a script can keep it. */
  once(sentence: string, thing: string, line: JsonLine): void;
  /** Facts below each other, or a JSON line. */
  facts(title: string, facts: readonly (readonly [string, string])[], line: JsonLine): void;
}

export interface ApiViewOptions extends LookOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly isJson: boolean;
}

export function createApiView(options: ApiViewOptions): ApiView {
  const { stdout, stderr, isJson } = options;
  const look = lookOf(stdout, options);
  const { palette } = look;
  const good = (to: Output, sentence: string) => {
    const { palette, isTerminal } = lookOf(to, options);
    const columns = isTerminal ? columnsOf(to) : Number.POSITIVE_INFINITY;
    to.write(`${palette.good("✔")} ${wrap(escapeControls(sentence), columns, 2).trimStart()}\n`);
  };
  return {
    rows(type, objects, table) {
      if (isJson) {
        for (const object of objects) writeJsonLine(stdout, { type, ...withoutNaming(object) });
        return;
      }
      if (table.rows.length === 0) {
        stderr.write(`${table.none}\n`);
        return;
      }
      const width = look.isTerminal ? columnsOf(stdout) : Number.POSITIVE_INFINITY;
      stdout.write(`${layOut(table, width, palette).join("\n")}\n`);
    },
    done(sentence, line) {
      if (isJson) writeJsonLine(stdout, line);
      else good(stdout, sentence);
    },
    once(sentence, thing, line) {
      if (isJson) {
        writeJsonLine(stdout, line);
        return;
      }
      good(look.isTerminal ? stdout : stderr, sentence);
      stdout.write(look.isTerminal ? `\n  ${escapeControls(thing)}\n\n` : `${escapeControls(thing)}\n`);
    },
    facts(title, facts, line) {
      if (isJson) {
        writeJsonLine(stdout, line);
        return;
      }
      const widest = Math.max(...facts.map(([name]) => name.length));
      stdout.write(`${palette.strong(escapeControls(title))}\n`);
      for (const [name, value] of facts) {
        stdout.write(`  ${palette.faint(name.padEnd(widest))}  ${escapeControls(value)}\n`);
      }
    },
  };
}

/** What another version's server may say must not take the place of the line's own type. */
function withoutNaming(object: Fields): Fields {
  const { v: _v, type: _type, ...rest } = object;
  return rest;
}
