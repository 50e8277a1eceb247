// `npm run test:faults`: many schedules of faults over three nodes. `--cluster six`: over six processes with a role each.
// `npm run test:faults -- --seed 7 --schedules 1` does one again that was printed.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuild, ensurePackages, ensurePrograms, ROOT } from "./setup.js";

const USAGE = `Usage: npm run test:faults -- [--cluster three|six] [--seed N] [--schedules N]

--cluster    three nodes, or six processes with a role each (default: three)
--seed       that of the first schedule; each further one has the next (default: 1)
--schedules  how many (default: 60)`;

const string = /** @type {const} */ ({ type: "string" });
const options = { cluster: string, seed: string, schedules: string, help: /** @type {const} */ ({ type: "boolean" }) };
const { values } = parseArgs({ options });
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const cluster = values.cluster ?? "three";
if (cluster !== "three" && cluster !== "six") {
  console.error(`There is no cluster "${cluster}": write --cluster three, or --cluster six.`);
  process.exit(2);
}

ensurePackages();
ensurePrograms(["redis-server", "redis-cli", "haproxy", "faketime"]);
ensureBuild();

const env = {
  ...process.env,
  DUPLEXITY_FAULT_CLUSTER: cluster,
  DUPLEXITY_FAULT_SEED: values.seed ?? "1",
  DUPLEXITY_FAULT_SCHEDULES: values.schedules ?? "60",
};
const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
const args = [vitest, "run", "--disable-console-intercept=true", "test/e2e/faults.test.ts"];
const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit", env });
process.exitCode = status ?? 1;
