// Writes the parts of docs/ that the code already says: errors.md from src/protocol/errors.ts, and the flags in cli.md
// from src/cli/flags.ts, both as built. `--check` only says whether they are up to date.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./setup.js";

const built = (/** @type {string} */ path) => import(pathToFileURL(join(ROOT, "dist", path)).href);
const { ERRORS } = await built("protocol/errors.js");
const { COMMANDS } = await built("cli/command-table.js");
const { longName, variableOf } = await built("cli/flags.js");

const ERRORS_INTRODUCTION = `# Errors

<!-- Written by \`npm run docs\` from src/protocol/errors.ts: change it there. -->

Every failure of duplexity has one code from this closed table, wherever it shows: in \`DuplexityError.code\`, in the
\`Duplexity-Error\` header of an answer to a visitor, in the reason of a WebSocket close, in a RESET frame or a CLOSE packet,
in \`--json\` output and in the log. Match on the code; messages are for people and may change.

- **wire**: the number in RESET frames and CLOSE packets, 16 bits; never reused.
- **close**: the WebSocket close code (RFC 6455 §7.4) when it ends a socket; the reason starts with the code.
- **HTTP**: the status that a visitor or an API caller gets.
- **exit**: the exit status of a command that ends because of it.
- **retry**: whether the same attempt may succeed later without a change.
`;

/** One table row for each code, in the order of the source. */
function errorsPage() {
  const rows = Object.entries(ERRORS).map(
    ([code, e]) =>
      `| <a id="${code.toLowerCase()}"></a>\`${code}\` | ${e.wire} | ${e.closeCode} | ${e.httpStatus} | ${e.exitStatus} | ${e.retryable ? "yes" : "no"} | ${e.meaning} |`,
  );
  return `${ERRORS_INTRODUCTION}
| code | wire | close | HTTP | exit | retry | meaning |
|---|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

/** @returns {string} */
function flagsTable(/** @type {any[]} */ flags) {
  const rows = flags.map((flag) => {
    const variable = flag.isAction ? "" : `\`${variableOf(flag.key)}\``;
    const key = flag.isPerRun ? "" : `\`${longName(flag) === "--pipe" ? "pipes" : flag.key}\``;
    return `| \`${flag.syntax.replaceAll("|", "\\|")}\` | ${flag.help} | ${flag.fallback ?? ""} | ${variable} | ${key} |`;
  });
  return `| flag | | default | environment | config file |\n|---|---|---|---|---|\n${rows.join("\n")}\n`;
}

/** `page` with the text between `<!-- flags: NAME -->` and `<!-- end -->` replaced. */
function withFlags(/** @type {string} */ page, /** @type {string} */ name, /** @type {any[]} */ flags) {
  const start = `<!-- flags: ${name} -->\n`;
  const from = page.indexOf(start) + start.length;
  const to = page.indexOf("<!-- end -->", from);
  if (from < start.length || to === -1) throw new Error(`docs/cli.md has no place for the flags of ${name}`);
  return page.slice(0, from) + flagsTable(flags) + page.slice(to);
}

const cliFile = join(ROOT, "docs", "cli.md");
/** `docs/cli.md` with the flags of every command that has a place for them there. */
function cliPage() {
  let page = readFileSync(cliFile, "utf8");
  for (const { name, flags } of COMMANDS) {
    if (page.includes(`<!-- flags: ${name} -->`)) page = withFlags(page, name, flags);
  }
  return page;
}
const pages = new Map([
  [join(ROOT, "docs", "errors.md"), errorsPage()],
  [cliFile, cliPage()],
]);
for (const [file, wanted] of pages) {
  if (!process.argv.includes("--check")) {
    writeFileSync(file, wanted);
  } else if (!existsSync(file) || readFileSync(file, "utf8") !== wanted) {
    console.error(`${file} does not say what the code says. Run: npm run build && npm run docs`);
    process.exitCode = 1;
  }
}
