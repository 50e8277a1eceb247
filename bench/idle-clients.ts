// A process that connects many clients to one server through the SDK and then does nothing until it is told to end.
// Usage: idle-clients.js SERVER COUNT NAME_PREFIX [TOKEN_FILE]

import { readFileSync } from "node:fs";
import { forward } from "../src/client/index.ts";

/** So many dial at once: a server bounds the sockets that have not said who they are. */
const BATCH = 25;

const [server = "", count = "0", prefix = "idle", tokenFile = ""] = process.argv.slice(2);
const identity = tokenFile === "" ? {} : { token: readFileSync(tokenFile, "utf8") };
for (let first = 0; first < Number(count); first += BATCH) {
  const size = Math.min(BATCH, Number(count) - first);
  await Promise.all(
    Array.from({ length: size }, (_, index) => forward(9, { server, name: `${prefix}-${first + index}`, ...identity })),
  );
}
console.log(JSON.stringify({ type: "ready" }));
process.once("SIGINT", () => process.exit(0));
