// Reads a folder of TypeScript files and what each imports, for the architecture test. Never runs or type-checks them.

import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

export interface Import {
  /** As written: `ws`, `node:net`, `../protocol/index.ts`. */
  readonly specifier: string;
  /** The imported file, like the keys of the tree; null for a package or a `node:` module. */
  readonly file: string | null;
  /** `import type` and `export type` leave nothing in the compiled file. */
  readonly isTypeOnly: boolean;
}

/** Paths relative to the tree's root, with `/`, to texts. */
export type SourceTree = ReadonlyMap<string, string>;

/** All `.ts` files below `root`, as `prefix/…`. */
export function readSourceTree(root: string, prefix: string): SourceTree {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return new Map(
    names.map((name) => [posix.join(prefix, name.replaceAll("\\", "/")), readFileSync(join(root, name), "utf8")]),
  );
}

/** `text` without comments that begin a line, so that prose about imports is not taken for one. */
export function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\//gm, "").replace(/^\s*\/\/.*$/gm, "");
}

const STATIC = /^\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s*)?["']([^"']+)["']/gm;
const DYNAMIC = /\bimport\(\s*["']([^"']+)["']/g;

/** What the file at `path` imports, statically, dynamically or by re-export. */
export function importsOf(path: string, text: string): readonly Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  const add = (specifier: string, isTypeOnly: boolean) => {
    const file = specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : null;
    found.push({ specifier, file, isTypeOnly });
  };
  for (const [, type, specifier = ""] of code.matchAll(STATIC)) add(specifier, type !== undefined);
  for (const [, specifier = ""] of code.matchAll(DYNAMIC)) add(specifier, false);
  return found;
}

/** Every cycle of run-time imports, each as `a -> b -> a`, found once. */
export function importCycles(tree: SourceTree): readonly string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]) => {
    const at = trail.indexOf(path);
    if (at !== -1) cycles.push([...trail.slice(at), path].join(" -> "));
    if (at !== -1 || done.has(path)) return;
    for (const { file, isTypeOnly } of importsOf(path, tree.get(path) ?? "")) {
      if (file !== null && !isTypeOnly) visit(file, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of tree.keys()) visit(path, []);
  return cycles;
}
