// Prints how long `duplexity --help` takes beside a bare `node -e 0`: a figure, never a failure (machines differ).

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "./setup.js";

const RUNS = 7;

/** Median wall time of `node args…`, in ms. */
function median(/** @type {string[]} */ args) {
  const times = [];
  for (let run = 0; run < RUNS; run += 1) {
    const start = process.hrtime.bigint();
    spawnSync(process.execPath, args, { stdio: "ignore" });
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  return times.sort((a, b) => a - b)[(RUNS - 1) / 2] ?? Number.NaN;
}

const bare = median(["-e", "0"]);
const help = median([join(ROOT, "bin", "duplexity.js"), "--help"]);
const bar = 1.5 * bare + 60;
console.log(
  `figure  --help ${help.toFixed(0)} ms, bare node ${bare.toFixed(0)} ms, wanted below ${bar.toFixed(0)} ms: ${help < bar ? "met" : "missed"}`,
);
