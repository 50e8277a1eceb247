// A real browser: the system's Chromium, driven by playwright-core. No browser is downloaded.

import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import type { Stage } from "./stage.ts";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function startChromium(stage: Stage): Promise<Browser> {
  const executablePath = process.env.DUPLEXITY_TEST_CHROMIUM ?? PLACES.find((place) => existsSync(place));
  if (executablePath === undefined) throw new Error("Cannot find Chromium: run npm test, which installs it");
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  stage.defer(() => browser.close());
  return browser;
}
