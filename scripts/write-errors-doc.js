// Writes docs/errors.md from the table in src/protocol/errors.ts (as built); `--check` only says whether it is up to date.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { ROOT } from "./setup.js";

const FILE = join(ROOT, "docs", "errors.md");
const built = join(ROOT, "dist", "protocol", "errors.js");

const { ERRORS } = await import(pathToFileURL(built).href);

const INTRODUCTION = `# Errors

<!-- Written by \`node scripts/write-errors-doc.js\` from src/protocol/errors.ts: change it there. -->

Every failure of duplexity has one code from this closed table, wherever it shows: in \`DuplexityError.code\`, in the
\`Duplexity-Error\` header of an answer to a visitor, in the reason of a WebSocket close, in a RESET frame or a CLOSE packet, in \`--json\`
output and in the log. Match on the code; messages are for people and may change.

- **wire**: the number in RESET frames and CLOSE packets, 16 bits; never reused.
- **close**: the WebSocket close code (RFC 6455 §7.4) when it ends a socket; the reason starts with the code.
- **HTTP**: the status that a visitor or an API caller gets.
- **exit**: the exit status of a command that ends because of it.
- **retry**: whether the same attempt may succeed later without a change.
`;

/** One table row for each code, in the order of the source. */
function page() {
  const rows = Object.entries(ERRORS).map(
    ([code, e]) =>
      `| <a id="${code.toLowerCase()}"></a>\`${code}\` | ${e.wire} | ${e.closeCode} | ${e.httpStatus} | ${e.exitStatus} | ${e.retryable ? "yes" : "no"} | ${e.meaning} |`,
  );
  return `${INTRODUCTION}
| code | wire | close | HTTP | exit | retry | meaning |
|---|---|---|---|---|---|---|
${rows.join("\n")}
`;
}

const wanted = page();
if (!process.argv.includes("--check")) {
  writeFileSync(FILE, wanted);
} else if (!existsSync(FILE) || readFileSync(FILE, "utf8") !== wanted) {
  console.error("docs/errors.md does not say what src/protocol/errors.ts says. Run: npm run build && npm run docs");
  process.exitCode = 1;
}
