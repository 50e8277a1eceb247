// Which version of duplexity this is. Reads the package's own manifest, once, and nothing else.

import { readFileSync } from "node:fs";

/** `0.1.0`; `0` where it is bundled into another program, without a package.json beside it. */
export const PACKAGE_VERSION = readVersion();

function readVersion(): string {
  try {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    return /"version": *"([0-9A-Za-z.+-]{1,64})"/.exec(text)?.[1] ?? "0";
  } catch {
    return "0";
  }
}
