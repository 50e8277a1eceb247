// What has to be there before anything runs: packages, the build, programs of the system. Each step does nothing when
// it is done already. Imports node: only, since it runs before the packages exist.

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Programs that tests and benchmark use, and the Debian/Ubuntu package that each comes in. */
const PACKAGE_OF = {
  "redis-server": "redis-server",
  "redis-cli": "redis-tools",
  chromium: "chromium",
  openssl: "openssl",
  nginx: "nginx-light",
  haproxy: "haproxy",
  faketime: "faketime",
  wrk: "wrk",
  caddy: "caddy",
  "systemd-analyze": "systemd",
  curl: "curl",
};

/** @typedef {keyof typeof PACKAGE_OF} Program */

/** Runs a command in the project's folder with its output shown; ends this process with the command's status if it fails. */
export function run(/** @type {string} */ command, /** @type {string[]} */ args) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  if (status === 0) return;
  if (error) console.error(`Cannot run ${command}: ${error.message}`);
  process.exit(status ?? 1);
}

/** Installs the locked packages unless the tree is at least as new as the lock. */
export function ensurePackages() {
  const installed = join(ROOT, "node_modules", ".package-lock.json");
  const lock = join(ROOT, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  if (existsSync(installed) && spawnSync("npm", ["ls", "--silent"], { cwd: ROOT }).status === 0) return;
  console.error("Installing packages (npm ci)…");
  run("npm", ["ci", "--no-audit", "--no-fund"]);
}

/** Compiles src/ to dist/. Always: the compiler takes a second, and a stale build tests something else. */
export function ensureBuild() {
  run("npm", ["run", "--silent", "build"]);
}

/** Where `program` is on PATH or among the system's, or null. */
function findProgram(/** @type {string} */ program) {
  for (const folder of [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"]) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here: the next folder.
    }
  }
  return null;
}

/**
 * Installs those of `programs` that are missing, by apt-get, as root or through sudo without a password. Elsewhere says
 * what is missing and ends with status 1.
 *
 * @param {Program[]} programs
 */
export function ensurePrograms(programs) {
  const missing = programs.filter((program) => findProgram(program) === null);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((program) => PACKAGE_OF[program]))];
  const prefix = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const canInstall =
    findProgram("apt-get") !== null &&
    (prefix.length === 0 || spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status === 0);
  if (!canInstall) {
    console.error(
      `Missing: ${missing.join(", ")}. Install with your package manager (Debian's names: ${packages.join(" ")}).`,
    );
    process.exit(1);
  }
  console.error(`Installing ${packages.join(", ")} (apt-get)…`);
  // RUNLEVEL=1: a package's service must not start by itself, only its program is wanted.
  const environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
  const apt = (/** @type {string[]} */ args) => {
    const [command = "env", ...rest] = [...prefix, ...environment, "apt-get", "-q", "-y", ...args];
    return spawnSync(command, rest, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;
  };
  // The lists may be absent (a fresh container) or old: so try, refresh, try again.
  const install = ["install", "--no-install-recommends", ...packages];
  if (!apt(install) && !(apt(["update"]) && apt(install))) {
    console.error(`apt-get could not install ${packages.join(" ")}.`);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) ensurePackages();
