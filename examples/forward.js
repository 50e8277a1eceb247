// A tunnel inside your own program: start `duplexity serve --no-auth` and something on port 9090, then
// `node examples/forward.js`.

import { forward } from "duplexity";

const tunnel = await forward(9090, { server: "http://localhost:8080", name: "cat1" });
console.log(`Public: ${tunnel.url}`);

// It reconnects by itself, for ever. These only tell about it.
tunnel.on("reconnect", ({ outageMs }) => console.log(`back after ${outageMs} ms`));
tunnel.on("close", (error) => console.log(error ? `closed: ${error.code} ${error.message}` : "closed"));
process.once("SIGINT", () => tunnel.close({ drainMs: 10_000 }));
