// Installs the package as a user would, from what `npm pack` makes, and runs it: the command answers, both entry points load,
// and npm has nothing to warn of.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./setup.js";

const folder = mkdtempSync(join(tmpdir(), "duplexity-package-"));
const text = { encoding: /** @type {const} */ ("utf8") };

/** Runs a command in the user's folder; answers stdout and stderr together, and fails when it fails. */
function run(/** @type {string} */ command, /** @type {string[]} */ ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, ...text });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
  return stdout + stderr;
}

try {
  // dist is there already, so prepack has nothing to do.
  const packing = ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder];
  const tarball = execFileSync("npm", packing, { cwd: ROOT, ...text }).trim();
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  const said = run("npm", "install", "--no-audit", "--no-fund", `./${tarball}`);
  const warnings = said.split("\n").filter((line) => /EBADENGINE|deprecated|allow-scripts|install script/i.test(line));
  if (warnings.length > 0) throw new Error(`npm warns:\n${warnings.join("\n")}`);
  const command = join(folder, "node_modules", ".bin", "duplexity");
  if (!/^\d+\.\d+\.\d+\n$/.test(run(command, "--version"))) throw new Error("duplexity --version is no version");
  writeFileSync(
    join(folder, "embed.js"),
    'import { forward } from "duplexity";\nimport { serve } from "duplexity/server";\nconsole.log(typeof forward, typeof serve);\n',
  );
  const types = run(process.execPath, "embed.js");
  if (types !== "function function\n") throw new Error(`The entry points are ${types}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
