// `npm test`: from a fresh clone to the tests' result. Arguments go to vitest: `npm test -- test/protocol`.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureBuild, ensurePackages, ensurePrograms, ROOT } from "./setup.js";

const args = process.argv.slice(2);
const paths = args.filter((arg) => !arg.startsWith("-"));

ensurePackages();
// Only these folders' tests use programs of the system.
const isWanted = (/** @type {string} */ folder) => {
  const reaches = (/** @type {string} */ path) =>
    path.includes(folder) || `test/${folder}`.startsWith(path.replace(/\/$/, ""));
  return paths.length === 0 || paths.some(reaches);
};
if (isWanted("e2e")) {
  ensurePrograms(["redis-server", "redis-cli", "chromium", "openssl", "haproxy", "nginx", "caddy"]);
}
if (isWanted("e2e") || isWanted("support")) ensurePrograms(["faketime"]);
if (isWanted("deploy")) ensurePrograms(["systemd-analyze"]);
if (isWanted("server/store") || isWanted("server/backend")) ensurePrograms(["redis-server", "redis-cli"]);
ensureBuild();

const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
const { status } = spawnSync(process.execPath, [vitest, "run", ...args], { cwd: ROOT, stdio: "inherit" });
process.exitCode = status ?? 1;
