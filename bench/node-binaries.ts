// Other Node versions to run the tunnel with. They come from the npm registry, as packages that hold nothing but the binary.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runToEnd } from "./proc.ts";

const CACHE = fileURLToPath(new URL("../../node_modules/.cache/bench-node/", import.meta.url));

/** The path of a Node binary: `wanted` itself, or for a major version (`22`) the newest of it, installed when missing. */
export async function nodeBinary(wanted: string): Promise<string> {
  if (!/^\d+$/.test(wanted)) return wanted;
  const folder = join(CACHE, wanted);
  const name = `node-linux-${process.arch}`;
  const binary = join(folder, "node_modules", name, "bin", "node");
  if (existsSync(binary)) return binary;
  process.stderr.write(`Installing ${name}@${wanted}…\n`);
  await runToEnd("npm", ["install", "--prefix", folder, "--no-save", "--no-audit", "--no-fund", `${name}@${wanted}`]);
  return binary;
}
