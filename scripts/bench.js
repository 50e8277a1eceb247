// `npm run bench`: installs what the benchmark measures with, builds the package and the benchmark, runs it.
// Arguments go to it: `npm run bench -- --only keepalive,down --rounds 5`.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ensureBuild, ensurePackages, ensurePrograms, ROOT, run } from "./setup.js";

ensurePackages();
ensurePrograms(["nginx", "haproxy", "wrk", "curl", "redis-server"]);
ensureBuild();
run("npm", ["exec", "--no", "--", "tsc", "-p", "tsconfig.bench.json"]);

const benchmark = join(ROOT, "dist-bench", "bench", "index.js");
const { status } = spawnSync(process.execPath, [benchmark, ...process.argv.slice(2)], { cwd: ROOT, stdio: "inherit" });
process.exitCode = status ?? 1;
