// Many owners in one process who all want one name, through the built package. Arguments: servers (by commas), target, name.
// Standard input: first the owners' tokens as a JSON array, then lines: `claim` (all of them at once), `leave` (whoever has
// the name). Tells as JSON lines what each of them got.

import { createInterface } from "node:readline";
import { forward } from "../../dist/index.js";

const [serverList = "", target, name] = process.argv.slice(2);
const servers = serverList.split(",");
const tell = (/** @type {object} */ line) => process.stdout.write(`${JSON.stringify(line)}\n`);
/** @type {string[]} */
let tokens = [];
/** @type {Set<Awaited<ReturnType<typeof forward>>>} */
const open = new Set();

async function claim(/** @type {string} */ token, /** @type {number} */ index) {
  const startedAt = Date.now();
  const server = servers[index % servers.length];
  const result = await forward(target, { server, name, token }).then(
    (tunnel) => {
      open.add(tunnel);
      tunnel.on("close", (error) => {
        open.delete(tunnel);
        tell({ type: "closed", index, code: error?.code ?? null });
      });
      return { result: "up", clientId: tunnel.clientId };
    },
    (error) => ({ result: error.code ?? String(error) }),
  );
  tell({ type: "claimed", index, ms: Date.now() - startedAt, ...result });
}

for await (const line of createInterface({ input: process.stdin })) {
  if (tokens.length === 0) tokens = JSON.parse(line);
  else if (line === "claim") void Promise.all(tokens.map(claim));
  else if (line === "leave") for (const tunnel of open) void tunnel.close();
}
process.exit(0);
