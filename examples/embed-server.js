// Server and client in one program, as a test suite would use them: a service gets a public name, a visitor's request
// goes through, and everything is closed again. `node examples/embed-server.js`

import { createServer, get } from "node:http";
import { forward } from "duplexity";
import { serve } from "duplexity/server";

const origin = createServer((_, response) => response.end("hello through the tunnel\n"));
await new Promise((resolve) => origin.listen(0, "127.0.0.1", () => resolve(undefined)));
const address = origin.address();
if (address === null || typeof address === "string") throw new Error("the origin has no port");

// Port 0 takes a free one. Without accounts each client owns its names by its own key: on loopback only.
const loopback = { host: "127.0.0.1", port: 0 };
const server = await serve({ identity: { kind: "no-auth" }, listen: loopback, internalListen: loopback });
const tunnel = await forward(address.port, { server: server.publicUrl, name: "cat1" });

const { hostname, port } = new URL(tunnel.url);
// Browsers resolve *.localhost to this machine; Node asks the system, which may not: so the address is given.
get({ host: "127.0.0.1", port, headers: { host: `${hostname}:${port}` } }, async (response) => {
  for await (const chunk of response) process.stdout.write(chunk);
  await tunnel.close();
  await server.close();
  origin.close();
});
