// Makes docs/demo.svg: a real `up` in a terminal (tmux), with real requests, a target that goes away and a link that is cut.
// Needs tmux. Run it by hand when the screen of `up` has changed: `node scripts/capture-demo.js`.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ensureBuild, ensurePackages, ROOT } from "./setup.js";
import { terminalSvg } from "./terminal-svg.js";

const COLUMNS = 98;
const ROWS = 30;
const TARGET_PORT = 9090;
const OUTAGE_MS = 1_800;
const WAIT_MS = 20_000;

ensurePackages();
ensureBuild();
const folder = mkdtempSync(join(tmpdir(), "duplexity-capture-"));
mkdirSync(join(folder, "bin"));
symlinkSync(join(ROOT, "bin", "duplexity.js"), join(folder, "bin", "duplexity"));
const socket = join(folder, "tmux");

function tmux(/** @type {string[]} */ ...args) {
  return execFileSync("tmux", ["-S", socket, ...args], { encoding: "utf8" });
}

function screen() {
  return tmux("capture-pane", "-p", "-t", "demo");
}

/** Resolves once the screen shows `pattern`. */
async function shows(/** @type {RegExp} */ pattern) {
  const deadline = Date.now() + WAIT_MS;
  while (!pattern.test(screen())) {
    if (Date.now() > deadline) throw new Error(`The screen does not show ${pattern}:\n${screen()}`);
    await pause(100);
  }
}

function pause(/** @type {number} */ ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The service on the laptop. */
function startTarget() {
  const server = createHttpServer((incoming, answer) => {
    incoming.resume();
    const size = incoming.url === "/assets/app.js" ? 48_200 : 1_180;
    setTimeout(() => answer.end(Buffer.alloc(size, "x")), incoming.method === "POST" ? 36 : 3);
  });
  server.listen(TARGET_PORT, "127.0.0.1");
  return server;
}

/** A TCP proxy before the server, so that the link can be cut. */
async function startCuttable(/** @type {number} */ port) {
  const sockets = new Set();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(port, "127.0.0.1");
    for (const one of [near, far]) {
      sockets.add(one);
      one.on("error", () => {}).on("close", () => sockets.delete(one));
    }
    near.pipe(far).pipe(near);
  }).listen(8080, "127.0.0.1");
  await once(server, "listening");
  const cut = (/** @type {boolean} */ wanted) => {
    isCut = wanted;
    if (wanted) for (const one of sockets) one.destroy();
  };
  return { server, cut };
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  return address !== null && typeof address === "object" ? address.port : 0;
}

/** A visitor's request, straight to the server. @returns {Promise<number | undefined>} */
function visit(/** @type {number} */ port, /** @type {string} */ method, /** @type {string} */ path) {
  return new Promise((resolve, reject) => {
    const headers = { host: "cat1.localhost", connection: "close" };
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode));
    });
    outgoing.on("error", reject).end();
  });
}

const environment = {
  ...process.env,
  PATH: `${join(folder, "bin")}:${process.env.PATH}`,
  DUPLEXITY_CONFIG_DIR: join(folder, "config"),
  DUPLEXITY_RUNTIME_DIR: join(folder, "run"),
};
const serveArgs = [
  "serve",
  "--no-auth",
  "--json",
  "--internal-listen",
  "127.0.0.1:0",
  "--public-url",
  "http://localhost:8080",
];
// The server itself listens elsewhere: what is at its public address is the proxy that cuts.
const port = await freePort();
const listen = ["--listen", `127.0.0.1:${port}`];
const server = spawn(process.execPath, [join(ROOT, "bin", "duplexity.js"), ...serveArgs, ...listen], {
  env: environment,
  stdio: ["ignore", "pipe", "inherit"],
});
let target = startTarget();
/** @type {Awaited<ReturnType<typeof startCuttable>> | null} */
let link = null;
try {
  await once(createInterface({ input: server.stdout }), "line");
  link = await startCuttable(port);

  const size = ["-x", String(COLUMNS), "-y", String(ROWS)];
  execFileSync(
    "tmux",
    [
      "-S",
      socket,
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      "-s",
      "demo",
      ...size,
      "env 'PS1=$ ' bash --norc --noprofile",
    ],
    {
      env: { ...environment, TERM: "xterm-256color" },
    },
  );
  await shows(/^\$/);
  tmux("send-keys", "-t", "demo", "-l", `duplexity up --pipe cat1:localhost:${TARGET_PORT}`);
  tmux("send-keys", "-t", "demo", "Enter");
  await shows(/help/);

  await visit(port, "GET", "/");
  await visit(port, "GET", "/assets/app.js");
  await visit(port, "POST", "/hooks/stripe");
  target.closeAllConnections();
  target.close();
  await pause(300);
  await visit(port, "GET", "/");
  await shows(/DPX_TARGET_REFUSED/);
  target = startTarget();
  await once(target, "listening");
  await visit(port, "GET", "/");
  await shows(/REFUSED[\s\S]*GET/);

  link.cut(true);
  const waiting = visit(port, "POST", "/hooks/stripe");
  await pause(OUTAGE_MS);
  link.cut(false);
  await waiting;
  await shows(/resumed[\s\S]*POST/);
  await visit(port, "GET", "/");
  await pause(500);
  const capture = tmux("capture-pane", "-e", "-p", "-t", "demo");
  const title = "duplexity up in a terminal: requests, a target that was down, a link that was lost and resumed";
  writeFileSync(join(ROOT, "docs", "demo.svg"), terminalSvg(capture, { title, columns: COLUMNS }));
  console.log(screen());
} finally {
  try {
    tmux("kill-server");
  } catch {
    // It was not started.
  }
  link?.server.close();
  link?.cut(true);
  target.closeAllConnections();
  target.close();
  server.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
