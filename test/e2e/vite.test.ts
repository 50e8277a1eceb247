// A dev server with hot reload, seen through the tunnel by a real browser.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createServer } from "vite";
import { describe, expect, it } from "vitest";
import { startChromium } from "../support/chromium.ts";
import { startServer, startUp } from "../support/duplexity.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

const PAGE = `<!doctype html><title>cat</title>
<link rel="icon" href="data:,"><h1 id="name"></h1><p id="count"></p><script type="module" src="/main.js"></script>`;

const MAIN = `import { name } from "./name.js";
const show = (text) => { document.querySelector("#name").textContent = text; };
show(name);
window.loads = (window.loads ?? 0) + 1;
document.querySelector("#count").textContent = String(performance.timeOrigin);
if (import.meta.hot) import.meta.hot.accept("./name.js", (fresh) => show(fresh.name));
`;

describe("A Vite dev server through the tunnel", () => {
  it("shows an edit without a reload, in real Chromium", async () => {
    const root = await stage.folder("vite");
    await mkdir(join(root, "src"), { recursive: true });
    await writeFile(join(root, "index.html"), PAGE);
    await writeFile(join(root, "main.js"), MAIN);
    await writeFile(join(root, "name.js"), `export const name = "Minka";\n`);
    const vite = await createServer({
      root,
      configFile: false,
      logLevel: "silent",
      cacheDir: join(root, ".vite"),
      server: { host: "127.0.0.1", port: 0, watch: { usePolling: true, interval: 100 } },
    });
    stage.defer(() => vite.close());
    await vite.listen(0);
    const address = vite.httpServer?.address();
    if (typeof address !== "object" || address === null) throw new Error("Vite does not listen");

    const server = await startServer(stage);
    const up = await startUp(stage, server.url, [`cats:127.0.0.1:${address.port}`]);
    const browser = await startChromium(stage);
    const page = await browser.newPage({ viewport: { width: 640, height: 360 } });
    const failures: string[] = [];
    page.on("pageerror", (error) => failures.push(String(error)));
    page.on("requestfailed", (request) => failures.push(`${request.url()} ${request.failure()?.errorText}`));
    const isConnected = page.waitForEvent("console", {
      predicate: (message) => message.text().includes("[vite] connected"),
    });
    await page.goto(up.pipes[0]?.url ?? "");
    await isConnected;
    const name = page.locator("#name");
    await poll(async () => (await name.textContent()) === "Minka", 10_000, "the page");
    const loadedAt = await page.locator("#count").textContent();

    await writeFile(join(root, "name.js"), (await readFile(join(root, "name.js"), "utf8")).replace("Minka", "Murr"));
    await poll(async () => (await name.textContent()) === "Murr", 15_000, "the edit in the page");
    expect(await page.locator("#count").textContent()).toBe(loadedAt);
    expect(failures).toEqual([]);
    const picture = process.env.DUPLEXITY_TEST_SCREENSHOT;
    if (picture) await page.screenshot({ path: picture });
  });
});
