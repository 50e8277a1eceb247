// What this server calls itself to its clients.

import { readFileSync } from "node:fs";

/** `duplexity/0.1.0 node/20.20.2` */
export const SOFTWARE = `duplexity/${readVersion()} node/${process.versions.node}`;

function readVersion(): string {
  try {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    return /"version": *"([0-9A-Za-z.+-]{1,64})"/.exec(text)?.[1] ?? "0";
  } catch {
    // Bundled into another program: there is no package.json beside it.
    return "0";
  }
}
