// One request to a page of the sign-in and the answer to it, as the pages' handlers see them. Reads forms, bounded in bytes
// and time.

import type { IncomingMessage, ServerResponse } from "node:http";
import { DuplexityError } from "../../protocol/index.ts";
import type { Browser } from "./browsers.ts";
import type { Page } from "./page.ts";

/** A form of ours has a few hundred bytes; a password of 256 characters may take nine bytes for each. */
const MAX_FORM_BYTES = 16_384;
const FORM_DEADLINE_MS = 10_000;

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly browser: Browser;
  /** Who asks, for the audit log and the limits. */
  readonly address: string;
}

export type Answer =
  | { readonly kind: "page"; readonly page: Page }
  /** 303: the browser goes on with GET. */
  | { readonly kind: "redirect"; readonly location: string };

export type Handler = (exchange: Exchange) => Promise<Answer>;

export function showPage(page: Page): Answer {
  return { kind: "page", page };
}

export function redirectTo(location: string): Answer {
  return { kind: "redirect", location };
}

/**
 * The form that was posted, after it was found to be this server's own.
 *
 * @throws {DuplexityError} `DPX_FORBIDDEN`, `DPX_REQUEST_INVALID`, `DPX_BODY_TIMEOUT`
 */
export async function readForm({ request, browser }: Exchange): Promise<Form> {
  const { "content-type": type = "" } = request.headers;
  if (!/^application\/x-www-form-urlencoded *(;|$)/i.test(type))
    throw badForm("it is not application/x-www-form-urlencoded");
  const form = new Form(new URLSearchParams(await readText(request)));
  browser.checkForm(request, form.field("form_token"));
  return form;
}

export class Form {
  readonly #fields: URLSearchParams;

  constructor(fields: URLSearchParams) {
    this.#fields = fields;
  }

  /** @throws {DuplexityError} `DPX_REQUEST_INVALID` if it came twice; empty if it did not come. */
  field(name: string): string {
    const [value = "", another] = this.#fields.getAll(name);
    if (another !== undefined) throw badForm(`"${name}" came twice`);
    return value;
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const timer = setTimeout(() => {
    request.destroy(new DuplexityError("DPX_BODY_TIMEOUT", "Cannot read the form: it did not arrive in time"));
  }, FORM_DEADLINE_MS);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of request) {
      const data: Buffer = chunk;
      bytes += data.length;
      if (bytes > MAX_FORM_BYTES) throw badForm(`it has more than ${MAX_FORM_BYTES} bytes`);
      chunks.push(data);
    }
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    clearTimeout(timer);
  }
}

function badForm(why: string): DuplexityError {
  return new DuplexityError("DPX_REQUEST_INVALID", `Cannot read the form: ${why}`);
}
