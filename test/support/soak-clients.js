// Clients that come and go, in one process, through the built package: does what each line of its standard input says,
// `open NAME` or `close NAME`, and tells as JSON lines what became of it. Arguments: server, target. DUPLEXITY_TOKEN.

import { createInterface } from "node:readline";
import { forward } from "../../dist/index.js";

const [server = "", target = ""] = process.argv.slice(2);
const token = process.env.DUPLEXITY_TOKEN;
const tell = (/** @type {object} */ line) => process.stdout.write(`${JSON.stringify(line)}\n`);
/** @type {Map<string, import("../../dist/index.js").Tunnel>} */
const tunnels = new Map();

async function open(/** @type {string} */ name) {
  try {
    const tunnel = await forward(target, { server, name, token });
    tunnels.set(name, tunnel);
    tunnel.once("close", (error) => {
      tunnels.delete(name);
      tell({ type: "closed", name, code: error?.code ?? null });
    });
    tell({ type: "up", name });
  } catch (error) {
    tell({ type: "closed", name, code: error.code ?? String(error) });
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [what, name = ""] = line.split(" ");
    if (what === "open") void open(name);
    else void tunnels.get(name)?.close();
  })
  .on("close", async () => {
    await Promise.all([...tunnels.values()].map((tunnel) => tunnel.close()));
    process.exit(0);
  });
