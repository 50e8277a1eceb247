// A server with accounts as the built command, and what people do with it: the claim, an admin's requests, a login.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import {
  createHome,
  type DuplexityProcess,
  type Home,
  type RunningServer,
  spawnDuplexity,
  startServer,
} from "./duplexity.ts";
import { isObject, textOf } from "./lines.ts";
import { startRedis } from "./redis.ts";
import type { Stage } from "./stage.ts";

export const STORES = ["a data folder", "Redis"] as const;
export type StoreKind = (typeof STORES)[number];

export const ADMIN_TOKEN = "admin-token-0123456789abcdefghij";
export const PASSWORD = "correct horse battery";

export interface PeopleServer extends RunningServer {
  /** As the server calls itself: its issuer's origin. */
  readonly origin: string;
  readonly folder: string;
  /** One request of the API, as the holder of the admin token. */
  admin(path: string, body?: unknown): Promise<Record<string, unknown>>;
}

export interface PeopleServerOptions {
  readonly args?: readonly string[];
  readonly store?: StoreKind;
  readonly env?: Readonly<Record<string, string>>;
  readonly port?: number;
  /** Of an earlier one, to start it anew. */
  readonly folder?: string;
  readonly redisPort?: number;
  /** Sentinels, or a Redis Cluster. */
  readonly redisUrl?: string;
}

export async function startPeopleServer(stage: Stage, options: PeopleServerOptions = {}): Promise<PeopleServer> {
  const folder = options.folder ?? (await stage.folder("data"));
  const tokenFile = join(folder, "admin-token");
  if (options.folder === undefined) await writeFile(tokenFile, `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  const redisPort = options.redisPort ?? (options.store === "Redis" ? await startRedis(stage) : null);
  const redisUrl = options.redisUrl ?? (redisPort === null ? null : `redis://127.0.0.1:${redisPort}`);
  const where = redisUrl === null ? ["--data", join(folder, "data")] : ["--redis", redisUrl];
  const server = await startServer(stage, {
    identity: [...where, "--admin-token-file", tokenFile],
    ...(options.args === undefined ? {} : { args: options.args }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.port === undefined ? {} : { port: options.port }),
  });
  const origin = `http://localhost:${server.port}`;
  return { ...server, origin, folder, admin: (path, body) => ask(server.port, path, { token: ADMIN_TOKEN, body }) };
}

/** The link by which the first admin is made; the server has no terminal, so it lies beside the data. */
export async function claimLink(server: PeopleServer): Promise<string> {
  return (await readFile(join(server.folder, "data", "claim-link"), "utf8")).trim();
}

/** One request of the server's API. Rejects with its error's code and message when it refuses. */
export async function ask(
  port: number,
  path: string,
  options: { readonly token?: string; readonly body?: unknown } = {},
): Promise<Record<string, unknown>> {
  const { token, body } = options;
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  if (!isObject(answer)) throw new Error(`${path} answered ${JSON.stringify(answer)}`);
  if (response.ok) return answer;
  const error = isObject(answer.error) ? answer.error : {};
  throw new Error(`${response.status} ${String(error.code)}: ${String(error.message)}`);
}

/** A person with a browser of their own. */
export async function newPerson(
  stage: Stage,
  browser: Browser,
): Promise<{ context: BrowserContext; page: Page; home: Home }> {
  const context = await browser.newContext();
  return { context, page: await context.newPage(), home: await createHome(stage) };
}

/** Fills in the form of the page that is open: a name and a password, or a new password only. */
export async function fillIn(page: Page, fields: { readonly name?: string; readonly password: string }): Promise<void> {
  if (fields.name !== undefined) await page.getByLabel(/name/i).first().fill(fields.name);
  for (const field of await page.locator('input[type="password"]').all()) await field.fill(fields.password);
  await page.locator('button[type="submit"], form button').first().click();
}

/** `login --no-browser --json`, up to the address that it wants to be opened. */
export async function beginLogin(
  stage: Stage,
  server: Pick<PeopleServer, "origin">,
  home: Home,
): Promise<{ process: DuplexityProcess; url: string }> {
  const process = await spawnDuplexity(stage, ["login", server.origin, "--no-browser", "--json"], { home });
  const line = await process.nextLine("authorize");
  return { process, url: textOf(line, "url") };
}
