// Holds src/ against the arrows of docs/architecture.md. Each rule is also shown a tree that breaks it.

import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { importCycles, importsOf, readSourceTree, type SourceTree, withoutComments } from "./support/source-tree.ts";

/** Which folders of src/ a folder may import besides itself, and whether packages too. A new folder needs a line here. */
const FOLDERS = new Map<string, { readonly folders: readonly string[]; readonly packages: boolean }>([
  ["protocol", { folders: [], packages: false }],
  ["http", { folders: [], packages: false }],
  ["client", { folders: ["protocol", "http"], packages: true }],
  ["server", { folders: ["protocol", "http"], packages: true }],
  ["cli", { folders: ["client", "server", "protocol"], packages: true }],
]);

/** Parts of the server: each knows another only by its index, `backend/registry.ts`, and what lies directly in src/server. */
const SERVER_PARTS = [
  "accounts",
  "api",
  "auth",
  "backend",
  "calls",
  "hub",
  "identity",
  "operate",
  "peer",
  "proxy",
  "redis",
  "store",
];

/** Packages that only these files may import. */
const PACKAGE_HOMES = new Map([
  ["ioredis", /^src\/server\/redis\//],
  ["conf", /^src\/cli\/settings/],
  ["chalk", /^src\/cli\/output/],
  ["ora", /^src\/cli\/output/],
]);

type Rule = (tree: SourceTree) => readonly string[];

/** `src/server/hub/x.ts` -> `server`; null for a file directly in src/. */
function folderOf(path: string): string | null {
  const [, folder, rest] = path.split("/");
  return folder !== undefined && rest !== undefined ? folder : null;
}

function serverPartOf(path: string): string | null {
  const [, folder, part = ""] = path.split("/");
  return folder === "server" && SERVER_PARTS.includes(part) ? part : null;
}

/** Runs `judge` on every import of every file and keeps what it complains of. */
function eachImport(
  tree: SourceTree,
  judge: (path: string, specifier: string, file: string | null) => string | null,
): string[] {
  const complaints: string[] = [];
  for (const [path, text] of tree) {
    for (const { specifier, file } of importsOf(path, text)) {
      const complaint = judge(path, specifier, file);
      if (complaint !== null) complaints.push(`${path}: ${complaint}`);
    }
  }
  return complaints;
}

const folderArrows: Rule = (tree) =>
  eachImport(tree, (path, specifier, file) => {
    const folder = folderOf(path);
    if (folder === null) return null;
    const rule = FOLDERS.get(folder);
    if (rule === undefined) return `src/${folder} has no line in FOLDERS`;
    if (file === null) {
      return specifier.startsWith("node:") || rule.packages ? null : `${folder} may not import package ${specifier}`;
    }
    const target = folderOf(file);
    if (!file.startsWith("src/") || target === null) return `may not import ${file}`;
    return target === folder || rule.folders.includes(target) ? null : `${folder} may not import ${file}`;
  });

const serverInterfaces: Rule = (tree) =>
  eachImport(tree, (path, _specifier, file) => {
    const part = serverPartOf(path);
    const other = file === null ? null : serverPartOf(file);
    if (part === null || other === null || part === other) return null;
    const isInterface = file === `src/server/${other}/index.ts` || file === "src/server/backend/registry.ts";
    return isInterface ? null : `${part} may know ${other} only by its index, not ${file}`;
  });

const packageHomes: Rule = (tree) =>
  eachImport(tree, (path, specifier) => {
    const home = PACKAGE_HOMES.get(specifier.split("/", 1)[0] ?? "");
    return home === undefined || home.test(path) ? null : `${specifier} is imported outside ${home.source}`;
  });

const nodeModulesByScheme: Rule = (tree) =>
  eachImport(tree, (_path, specifier, file) =>
    file === null && ["fs", "net", "http", "path", "crypto", "stream", "events"].includes(specifier)
      ? `${specifier} without node:`
      : null,
  );

const processEnds: Rule = (tree) =>
  [...tree]
    .filter(
      ([path, text]) =>
        path !== "src/cli/main.ts" && /\bprocess\.(exit|exitCode|abort|reallyExit)\b/.test(withoutComments(text)),
    )
    .map(([path]) => `${path}: ends the process`);

/** The hang of Node that new-private-key.ts tells of. */
const keysByOneWay: Rule = (tree) =>
  [...tree]
    .filter(
      ([path, text]) =>
        path !== "src/protocol/new-private-key.ts" && /\b(generateKey\w*|exportJWK)\b/.test(withoutComments(text)),
    )
    .map(([path]) => `${path}: makes or exports keys`);

const openingComments: Rule = (tree) =>
  [...tree]
    .filter(([, text]) => !/^(#!.*\n)?\/\/ \S/.test(text))
    .map(([path]) => `${path}: does not open with a line that says what it is for`);

/** Of the areas and the parts of the server. A folder inside one (src/cli/output) says by its name what it is for. */
const folderIndexes: Rule = (tree) => {
  const all = [...tree.keys()].map((path) => posix.dirname(path));
  const folders = new Set(all.filter((folder) => /^src(\/[^/]+|\/server\/[^/]+)?$/.test(folder)));
  return [...folders]
    .filter((folder) => !tree.has(`${folder}/index.ts`) && !tree.has(`${folder}/main.ts`))
    .map((folder) => `${folder}: has no index.ts whose first line says what the folder is for`);
};

const noCycles: Rule = (tree) => importCycles(tree);

const src = readSourceTree(fileURLToPath(new URL("../src", import.meta.url)), "src");

/** Name, rule, and a file that breaks it. */
const RULES: readonly (readonly [string, Rule, string, string])[] = [
  ["protocol imports node: only", folderArrows, "src/protocol/x.ts", 'import WebSocket from "ws";'],
  ["http imports node: only", folderArrows, "src/http/x.ts", 'import { ERRORS } from "../protocol/index.ts";'],
  ["client never imports server", folderArrows, "src/client/x.ts", 'import { serve } from "../server/index.ts";'],
  ["server never imports client", folderArrows, "src/server/hub/x.ts", 'import type { A } from "../../client/a.ts";'],
  ["cli reaches http through nobody", folderArrows, "src/cli/x.ts", 'export * from "../http/index.ts";'],
  ["nothing imports from outside src", folderArrows, "src/cli/x.ts", 'import { a } from "../../test/a.ts";'],
  ["every folder is known", folderArrows, "src/extra/x.ts", 'import "node:net";'],
  ["a lazy import counts", folderArrows, "src/client/x.ts", 'const a = await import("../server/index.ts");'],
  ["proxy cannot see into hub", serverInterfaces, "src/server/proxy/x.ts", 'import { a } from "../hub/dialer.ts";'],
  ["hub cannot see into backend", serverInterfaces, "src/server/hub/x.ts", 'import { a } from "../backend/memory.ts";'],
  ["ioredis stays in redis", packageHomes, "src/server/hub/x.ts", 'import { Redis } from "ioredis";'],
  ["conf stays in settings", packageHomes, "src/cli/up.ts", 'import Conf from "conf";'],
  ["chalk stays in output", packageHomes, "src/cli/up.ts", 'import chalk from "chalk";'],
  ["ora stays in output", packageHomes, "src/cli/up.ts", 'import ora from "ora";'],
  ["node's modules are named by node:", nodeModulesByScheme, "src/cli/up.ts", 'import { join } from "path";'],
  ["only main ends the process", processEnds, "src/cli/up.ts", "process.exitCode = 1;"],
  ["keys are made in one place", keysByOneWay, "src/client/x.ts", 'const pair = generateKeyPairSync("ed25519");'],
  ["every file opens with what it is for", openingComments, "src/cli/up.ts", 'import "node:net";'],
  ["every part has an index", folderIndexes, "src/server/extra/x.ts", "// One thing."],
];

describe("architecture", () => {
  it("sees the files and their imports", () => {
    expect(src.size).toBeGreaterThan(10);
    expect(eachImport(src, (path, specifier) => `${path} ${specifier}`).length).toBeGreaterThan(10);
  });

  it.each(RULES)("%s", (_name, rule, path, text) => {
    expect(rule(src)).toEqual([]);
    expect(rule(new Map([[path, text]]))).toHaveLength(1);
  });

  it("has no import cycles", () => {
    expect(noCycles(src)).toEqual([]);
    const broken = new Map([
      ["src/a.ts", 'import { b } from "./b.ts";'],
      ["src/b.ts", 'export { a } from "./a.ts";'],
    ]);
    expect(noCycles(broken)).toEqual(["src/a.ts -> src/b.ts -> src/a.ts"]);
  });

  it("takes type-only imports for no cycle", () => {
    const types = new Map([
      ["src/a.ts", 'import type { B } from "./b.ts";'],
      ["src/b.ts", 'import { a } from "./a.ts";'],
    ]);
    expect(noCycles(types)).toEqual([]);
  });
});
