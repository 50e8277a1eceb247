// `npm run soak`: three nodes under a little load for half an hour, with a cut each 20 s; what they hold must not grow.
// `npm run soak -- --minutes 5 --seed 7` for another length or another order of cuts.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuild, ensurePackages, ensurePrograms, ROOT } from "./setup.js";

/** @type {{ minutes: { type: "string" }, seed: { type: "string" } }} */
const options = { minutes: { type: "string" }, seed: { type: "string" } };
const { values } = parseArgs({ options });

ensurePackages();
ensurePrograms(["redis-server", "redis-cli", "haproxy"]);
ensureBuild();

const env = {
  ...process.env,
  DUPLEXITY_SOAK_MINUTES: values.minutes ?? "30",
  DUPLEXITY_SOAK_SEED: values.seed ?? "1",
};
const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
const args = [vitest, "run", "--disable-console-intercept=true", "test/e2e/soak.test.ts"];
const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit", env });
process.exitCode = status ?? 1;
