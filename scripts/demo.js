// `npm run demo`: a server, a client and a small service as real processes on this machine, and one visitor's request
// through all of them. Then it stays up for a browser until Ctrl-C; with --once it ends. Needs Node and npm only.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ensureBuild, ensurePackages, ROOT } from "./setup.js";

/** How long each step may take: a Node start on a busy machine. */
const STEP_MS = 30_000;
/** How long a process may take to leave by itself. */
const STOP_MS = 5_000;

const isOnce = process.argv.includes("--once");
const isColoured = process.stdout.isTTY && !process.env.NO_COLOR && process.env.TERM !== "dumb";
const paint = (/** @type {number} */ colour) => (/** @type {string} */ text) =>
  isColoured ? `\u001b[${colour}m${text}\u001b[0m` : text;
const [bold, dim, red, green, cyan] = [1, 2, 31, 32, 36].map(paint);

const folder = mkdtempSync(join(tmpdir(), "duplexity-demo-"));
/** @type {import("node:child_process").ChildProcess[]} */
const children = [];
let isStopping = false;
/** Settles when a process of the demo ends although nobody asked it to. @type {(error: Error) => void} */
let reportDeath = () => {};
const death = new Promise((_, reject) => {
  reportDeath = reject;
});
death.catch(() => {});

/**
 * Starts a process whose stdout is read line by line.
 *
 * @param {string} name
 * @param {string[]} args
 * @param {(line: string) => void} onLine
 */
function start(name, args, onLine) {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    // Settings and sockets of their own, so that the demo touches nothing of yours; and no flags from your shell.
    env: {
      ...cleanEnvironment(),
      DUPLEXITY_CONFIG_DIR: join(folder, "config"),
      DUPLEXITY_RUNTIME_DIR: join(folder, "run"),
    },
  });
  children.push(child);
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    complaints = (complaints + text).slice(-4_000);
  });
  child.on("error", (error) => reportDeath(error));
  child.on("exit", (status, signal) => {
    if (!isStopping) reportDeath(new Error(`The ${name} ended (${signal ?? status}).\n${complaints}`));
  });
  createInterface({ input: child.stdout }).on("line", onLine);
}

function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith("DUPLEXITY_")));
}

/**
 * Runs one step with a bound on its time.
 *
 * @template T
 * @param {string} what
 * @param {(resolve: (value: T) => void, reject: (error: unknown) => void) => void} begin
 * @returns {Promise<T>}
 */
function step(what, begin) {
  const done = new Promise(begin);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${STEP_MS / 1_000} s`)), STEP_MS);
  });
  return Promise.race([done, late, death]).finally(() => clearTimeout(timer));
}

/** Starts a duplexity command with --json; resolves with its first line of `type`, hands the later ones to `onLater`. */
function startCommand(
  /** @type {string} */ type,
  /** @type {string[]} */ args,
  onLater = (/** @type {any} */ _line) => {},
) {
  return step(args[0], (resolve) => {
    start(`"duplexity ${args[0]}"`, [join(ROOT, "bin", "duplexity.js"), ...args, "--json"], (text) => {
      const line = JSON.parse(text);
      if (line.type === type) resolve(line);
      else onLater(line);
    });
  });
}

/**
 * What a visitor's browser would do. The address is given, since not every system resolves *.localhost by itself.
 *
 * @param {string} url
 * @returns {Promise<{ status: number, headers: import("node:http").IncomingHttpHeaders, body: string }>}
 */
function visit(url) {
  const { port, host, pathname } = new URL(url);
  return step("the visitor's request", (resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path: pathname, headers: { host, accept: "text/plain" } });
    outgoing.on("error", reject).on("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text) => {
        body += text;
      });
      response
        .on("error", reject)
        .on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    outgoing.end();
  });
}

/** Asks every process to leave, makes those leave that don't, and removes the folder. */
async function stop() {
  isStopping = true;
  await Promise.all(
    children.map(
      (child) =>
        new Promise((resolve) => {
          if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
            return resolve(undefined);
          const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
          child.on("exit", () => {
            clearTimeout(timer);
            resolve(undefined);
          });
          child.kill("SIGTERM");
        }),
    ),
  );
  rmSync(folder, { recursive: true, force: true });
}

async function run() {
  ensurePackages();
  ensureBuild();
  const say = (/** @type {string} */ text) => console.log(text);

  const originUrl = await step("the example service", (resolve) => {
    start("example service", [join(ROOT, "examples", "origin.js"), "0"], resolve);
  });
  const { port: originPort } = new URL(originUrl);
  const loopback = ["--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"];
  const server = await startCommand("listening", ["serve", "--no-auth", ...loopback]);
  const up = ["up", "--server", server.public, "--pipe", `cat1:${originPort}`, "--log-requests"];
  const { pipes } = await startCommand("ready", up, (line) => {
    if (line.type === "request" && !isOnce) {
      say(
        dim(
          `  ${new Date().toLocaleTimeString("en-GB")}  ${line.status}  ${JSON.stringify(`${line.method} ${line.path}`)}  ${Math.round(line.durationMs)} ms`,
        ),
      );
    }
  });
  const [{ url }] = pipes;

  const row = (/** @type {string} */ who, /** @type {string} */ command, /** @type {string} */ address) =>
    say(`  ${dim(who.padEnd(12))}  ${command.padEnd(30)}  ${dim("➜")} ${address}`);
  say("");
  row("your service", "node examples/origin.js", originUrl);
  row("a server", "duplexity serve --no-auth", server.public);
  row("your laptop", `duplexity up --pipe cat1:${originPort}`, green(url));
  say("");
  const answer = await visit(`${url}/hello`);
  say(`  ${bold("A visitor asks")}  GET ${url}/hello`);
  say(`  ${bold("and gets")}        ${answer.status} ${answer.body.trim()}`);
  say("");
  if (answer.status !== 200 || !answer.body.startsWith("Hello")) throw new Error("That is not the service's answer.");
  if (isOnce) return;
  say(`  ${green("➜")}  Open ${cyan(`${url}/`)} in a browser. Ctrl-C ends the demo.`);
  say("");
  await Promise.race([interrupted, death]);
}

const interrupted = new Promise((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, resolve);
});
try {
  const early = interrupted.then(() => {
    if (isOnce) throw new Error("Interrupted.");
  });
  await Promise.race([run(), early]);
} catch (error) {
  console.error(`\n  ${red("✖")} ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await stop();
}
// Whatever still waits for a step belongs to processes that are gone.
process.exit();
