// A browser without a screen: keeps cookies, sends what browsers send with navigations and forms, reads forms out of pages.
// Follows no redirect by itself.

import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { PASSWORD, type StartedAuth } from "./stage.ts";

export interface Seen {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Where it is redirected to; empty if it is not. */
  readonly location: string;
}

export interface GoOptions {
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export class TestBrowser {
  readonly #port: number;
  readonly #origin: string;
  readonly cookies = new Map<string, string>();
  /** Of every cookie that was set, with its attributes. */
  readonly setCookies: string[] = [];

  constructor({ port, origin }: Pick<StartedAuth, "port" | "origin">) {
    this.#port = port;
    this.#origin = origin;
  }

  /** Opens an address of the origin, as if somebody had typed it. */
  get(path: string, options: GoOptions = {}): Promise<Seen> {
    return this.#send("GET", path, null, { "sec-fetch-site": "none", ...options.headers });
  }

  /** Sends a form of the origin's own page. */
  post(path: string, fields: Readonly<Record<string, string>>, options: GoOptions = {}): Promise<Seen> {
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      origin: this.#origin,
      "sec-fetch-site": "same-origin",
      ...options.headers,
    };
    return this.#send("POST", path, new URLSearchParams(fields).toString(), headers);
  }

  /** Follows redirects within the origin, at most ten. */
  async follow(seen: Seen): Promise<Seen> {
    let current = seen;
    for (let hops = 0; hops < 10 && this.pathOf(current.location) !== null; hops += 1) {
      current = await this.get(this.pathOf(current.location) ?? "/", { headers: { "sec-fetch-site": "same-origin" } });
    }
    return current;
  }

  /** Of an address within the origin; null of another one. */
  pathOf(location: string): string | null {
    if (location === "") return null;
    const url = new URL(location, this.#origin);
    return url.origin === this.#origin ? `${url.pathname}${url.search}` : null;
  }

  /** Signs in by password, from wherever `path` leads. Answers where the browser is sent in the end. */
  async signIn(name = "ben", password = PASSWORD, path = "/auth/sign-in"): Promise<Seen> {
    const page = await this.follow(await this.get(path));
    const answer = await this.post("/auth/sign-in", { ...hiddenFields(page.body), name, password });
    return this.follow(answer);
  }

  #send(
    method: string,
    path: string,
    body: string | null,
    headers: Readonly<Record<string, string | undefined>>,
  ): Promise<Seen> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const sent: Record<string, string> = { host: new URL(this.#origin).host, accept: "text/html" };
    if (cookie !== "") sent["cookie"] = cookie;
    for (const [name, value] of Object.entries(headers)) {
      if (value === undefined) delete sent[name];
      else sent[name] = value;
    }
    return new Promise((resolve, reject) => {
      const request = httpRequest({ host: "127.0.0.1", port: this.#port, method, path, headers: sent, agent: false });
      request.on("error", reject);
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          this.#keepCookies(response.headers["set-cookie"] ?? []);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString("utf8"),
            location: response.headers.location ?? "",
          });
        });
      });
      request.end(body ?? undefined);
    });
  }

  #keepCookies(lines: readonly string[]): void {
    for (const line of lines) {
      this.setCookies.push(line);
      const [pair = ""] = line.split(";");
      const at = pair.indexOf("=");
      const isGone = /expires=Thu, 01 Jan 1970/i.test(line);
      if (isGone) this.cookies.delete(pair.slice(0, at));
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }
}

/** The hidden fields of a page's first form that has any. */
export function hiddenFields(body: string): Record<string, string> {
  const form = body.split("<form").find((part) => part.includes('type="hidden"')) ?? "";
  const fields: Record<string, string> = {};
  for (const [tag] of form.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(tag)?.[1] ?? "";
    fields[name] = unescaped(/value="([^"]*)"/.exec(tag)?.[1] ?? "");
  }
  return fields;
}

function unescaped(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
