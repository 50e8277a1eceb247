// The pages in a real browser: their policy lets through what they need, and no more. Pictures of them, when
// DUPLEXITY_TEST_SCREENSHOTS names a folder.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { initiateDeviceAuthorization } from "openid-client";
import type { Browser, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { startChromium } from "../../support/chromium.ts";
import { useStage } from "../../support/stage.ts";
import { begin, discover } from "./cli.ts";
import { PASSWORD, startAuth } from "./stage.ts";

const stage = useStage();

type Scheme = "light" | "dark";

/** A page that notes what the browser refuses to do for it. */
async function openPage(browser: Browser, options: { javaScriptEnabled?: boolean; colorScheme?: Scheme } = {}) {
  const context = await browser.newContext({ viewport: { width: 560, height: 780 }, ...options });
  const page = await context.newPage();
  const refused: string[] = [];
  page.on("console", (message) => {
    if (/Content Security Policy|Refused/i.test(message.text())) refused.push(message.text());
  });
  page.on("pageerror", (error) => refused.push(String(error)));
  return { page, refused };
}

async function picture(page: Page, name: string, scheme: Scheme): Promise<void> {
  const folder = process.env.DUPLEXITY_TEST_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}-${scheme}.png`) });
}

async function setPassword(page: Page, button: string): Promise<void> {
  await page.fill("#password", PASSWORD);
  await page.fill("#again", PASSWORD);
  await page.click(`text=${button}`);
}

describe("The pages of the auth service in Chromium", () => {
  it.each(["light", "dark"] as const)(
    "lead from the claim link to a machine that is let in (%s)",
    async (colorScheme) => {
      const started = await startAuth(stage, { isEmpty: true });
      const { page, refused } = await openPage(await startChromium(stage), { colorScheme });
      const shot = (name: string): Promise<void> => picture(page, name, colorScheme);
      await page.goto(`${started.auth.issuer}/sign-in`);
      await shot("unclaimed");
      const { code = "" } = (await started.accounts.newClaim()) ?? {};
      await page.goto(started.auth.claimUrl(code));
      await page.waitForSelector("#password");
      expect(page.url()).toBe(`${started.auth.issuer}/claim`);
      await shot("claim");
      await page.fill("#name", "anna");
      await setPassword(page, "Create the account");
      await page.waitForSelector("text=Your account");
      await shot("account");
      await page.click("text=Sign out");
      await page.waitForSelector("text=Signed out");
      await shot("signed-out");

      const configuration = await discover(started);
      const scope = "openid offline_access profile";
      const device = await initiateDeviceAuthorization(configuration, { scope, machine: "build-server-3" });
      await page.goto(device.verification_uri);
      await shot("sign-in");
      await page.fill("#name", "anna");
      await page.fill("#password", "not the password");
      await page.keyboard.press("Enter");
      await page.waitForSelector("[role=alert]");
      await shot("sign-in-failed");
      await page.fill("#password", PASSWORD);
      await page.keyboard.press("Enter");
      await page.waitForSelector("#user_code");
      await shot("device");
      await page.keyboard.type(device.user_code.toLowerCase());
      await page.keyboard.press("Enter");
      await page.waitForSelector("text=Approve this machine?");
      await shot("device-confirm");
      await page.click("button[name=confirm]");
      await page.waitForSelector("text=The machine is signed in");
      await shot("device-done");
      expect(refused).toEqual([]);
    },
  );

  it.each(["light", "dark"] as const)(
    "ask when a page of another site has sent the browser (%s)",
    async (colorScheme) => {
      const started = await startAuth(stage);
      const { page, refused } = await openPage(await startChromium(stage), { colorScheme });
      const callback = createServer((_request, response) => response.end("the command line"));
      await new Promise<void>((resolve) => callback.listen(0, "127.0.0.1", resolve));
      stage.defer(() => callback.close());
      const { port } = callback.address() as AddressInfo;
      const redirect_uri = `http://127.0.0.1:${port}/callback`;
      const begun = await begin(await discover(started), { redirect_uri });
      await page.route("http://evil.example/", (route) =>
        route.fulfill({
          contentType: "text/html",
          body: `<a href="${begun.url.href.replaceAll("&", "&amp;")}">win</a>`,
        }),
      );
      await page.goto("http://evil.example/");
      await page.click("a");
      await page.waitForSelector("text=Sign in the command line?");
      await picture(page, "continue", colorScheme);
      await page.click("button");
      await page.waitForSelector("text=The command line on this computer asks for access.");
      await picture(page, "sign-in-for-cli", colorScheme);
      await page.fill("#name", "ben");
      await page.fill("#password", PASSWORD);
      await page.keyboard.press("Enter");
      await page.waitForSelector("text=the command line");
      expect(page.url()).toContain(`${redirect_uri}?code=`);
      // Opened by hand, as duplexity login does it, nothing is asked any more.
      await page.goto((await begin(await discover(started), { redirect_uri })).url.href);
      expect(page.url()).toContain(`${redirect_uri}?code=`);
      expect(refused).toEqual([]);
    },
  );

  it("work without JavaScript: the code is pasted", async () => {
    const started = await startAuth(stage);
    const { userId } = await started.accounts.create({ name: "carl", isAdmin: false, namePatterns: null });
    const { code } = await started.accounts.invite(userId);
    const { page } = await openPage(await startChromium(stage), { javaScriptEnabled: false });
    await page.goto(started.auth.inviteUrl(code));
    await picture(page, "invite-code", "light");
    await page.fill("#code", code);
    await page.click("text=Continue");
    await page.waitForSelector("text=Welcome, carl");
    await picture(page, "invite", "light");
    await setPassword(page, "Set the password");
    await page.waitForSelector("text=Your account");
    await page.goto(`${started.auth.issuer}/authorize?client_id=duplexity-cli`);
    await picture(page, "error", "light");
  });
});
