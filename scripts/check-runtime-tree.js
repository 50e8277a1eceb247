// Holds the packages that a user installs to two promises: none has an install script, and each accepts every Node
// version that we accept. Reads package-lock.json only.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./setup.js";

/** The oldest that we promise, the one most used on servers, and the ones that follow. */
const NODE_VERSIONS = ["20.19.0", "20.20.0", "22.12.0", "24.0.0"];

/** @typedef {[number, number, number]} Version */

/** @returns {Version} */
function parse(/** @type {string} */ text) {
  const [major = 0, minor = 0, patch = 0] = text.split(".").map((part) => Number.parseInt(part, 10) || 0);
  return [major, minor, patch];
}

function compare(/** @type {Version} */ a, /** @type {Version} */ b) {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** Whether one comparator (`>=18`, `^20.1`, `~1.2`, `20`, `*`) accepts `version`. */
function accepts(/** @type {string} */ comparator, /** @type {Version} */ version) {
  const match = /^(>=|>|<=|<|\^|~|=)?v?(\d+(?:\.(?:\d+|x|\*))*|\*|x)?/.exec(comparator);
  const operator = match?.[1] ?? "";
  const text = match?.[2] ?? "*";
  if (text === "*" || text === "x") return true;
  const wanted = parse(text);
  const order = compare(version, wanted);
  const parts = text.split(".").filter((part) => /^\d+$/.test(part)).length;
  switch (operator) {
    case ">=":
      return order >= 0;
    case ">":
      return order > 0;
    case "<=":
      return order <= 0;
    case "<":
      return order < 0;
    case "^":
      return order >= 0 && version[0] === wanted[0];
    case "~":
      return order >= 0 && version[0] === wanted[0] && (parts < 2 || version[1] === wanted[1]);
    default:
      return wanted.slice(0, parts).every((part, index) => part === version[index]);
  }
}

/** Whether a range of `engines` accepts `version`. */
function satisfies(/** @type {string} */ range, /** @type {string} */ version) {
  const alternatives = range.replace(/(>=|>|<=|<|\^|~|=)\s+/g, "$1").split("||");
  return alternatives.some((all) =>
    all
      .trim()
      .split(/\s+/)
      .every((one) => accepts(one, parse(version))),
  );
}

const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
const problems = [];
let count = 0;
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === "" || entry.dev || entry.devOptional) continue;
  count += 1;
  if (entry.hasInstallScript) problems.push(`${path} has an install script`);
  const range = entry.engines?.node ?? "*";
  for (const version of NODE_VERSIONS) {
    if (!satisfies(range, version)) problems.push(`${path} wants node ${range}, which refuses ${version}`);
  }
}

for (const problem of problems) console.error(problem);
console.log(`${count} packages at run time, ${problems.length} problems`);
process.exitCode = problems.length === 0 && count > 0 ? 0 : 1;
