// Many clients in one process, through the built package. Tells as JSON lines when all are up, and a few times a second which
// have lost their links, how long they wait then, and which are up again; at SIGUSR2, what of that is not told yet, and then
// who is not up yet. Ends with its standard input. Arguments: server, target, prefix, count, links. DUPLEXITY_TOKEN.

import { constants, setPriority } from "node:os";
import { forward } from "../../dist/index.js";

// Clients have machines of their own, elsewhere: here they take what the nodes leave them.
setPriority(constants.priority.PRIORITY_LOW);

/** So many dial at once. */
const BATCH = 25;
/** A line for each piece of news would keep the test busy beside those whom it measures. */
const TELL_EVERY_MS = 250;

const [server = "", target = "", prefix = "", count = "0", links = "2"] = process.argv.slice(2);
const token = process.env.DUPLEXITY_TOKEN;
const tell = (/** @type {object} */ line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** @type {Set<string>} */
const opening = new Set();
process.on("SIGUSR2", () => {
  tellNews();
  tell({ type: "opening", names: [...opening], resources: process.getActiveResourcesInfo(), up: tunnels.length });
});

/** @type {object[]} */
let news = [];
function tellNews() {
  if (news.length > 0) tell({ type: "news", news });
  news = [];
}
setInterval(tellNews, TELL_EVERY_MS);

async function open(/** @type {string} */ name) {
  opening.add(name);
  const tunnel = await forward(target, { server, name, token, links: links === "1" ? 1 : 2 });
  opening.delete(name);
  tunnel.on("status", ({ state, ...more }) => news.push({ type: state, name, at: Date.now(), ...more }));
  return tunnel;
}

/** @type {Awaited<ReturnType<typeof open>>[]} */
const tunnels = [];
for (let first = 0; first < Number(count); first += BATCH) {
  const size = Math.min(BATCH, Number(count) - first);
  tunnels.push(...(await Promise.all(Array.from({ length: size }, (_, index) => open(`${prefix}${first + index}`)))));
}
tell({ type: "ready" });
process.stdin.resume().on("end", async () => {
  await Promise.all(tunnels.map((tunnel) => tunnel.close()));
  tellNews();
  process.exit(0);
});
