// Many clients in one process, through the built package: opens them, tells as JSON lines when each of them is closed and
// whether it could come back, until its standard input ends. Arguments: server, target, prefix, count. DUPLEXITY_TOKEN.

import { forward } from "../../dist/index.js";

const [server, target, prefix, count] = process.argv.slice(2);
const token = process.env.DUPLEXITY_TOKEN;
const tell = (/** @type {object} */ line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let isEnding = false;

async function open(/** @type {string} */ name) {
  const tunnel = await forward(target, { server, name, token });
  tunnel.on("close", async (error) => {
    if (isEnding) return;
    tell({ type: "closed", name, code: error?.code ?? null, message: error?.message ?? null, at: Date.now() });
    const back = await forward(target, { server, name, token }).then(
      () => "up",
      (refusal) => refusal.code,
    );
    tell({ type: "tried", name, result: back });
  });
  return tunnel;
}

const tunnels = [];
for (let index = 0; index < Number(count); index += 1) tunnels.push(await open(`${prefix}${index}`));
tell({ type: "ready" });
process.stdin.resume().on("end", async () => {
  isEnding = true;
  await Promise.all(tunnels.map((tunnel) => tunnel.close()));
  process.exit(0);
});
