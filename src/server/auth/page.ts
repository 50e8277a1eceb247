// What every page of the sign-in has around its words: the document, its looks, and the headers that keep it from being
// framed, cached, sent on or filled with somebody else's scripts. Knows no single page.

import { createHash } from "node:crypto";
import { type Html, html } from "./html.ts";
import { STYLE } from "./style.ts";

/**
 * Takes the code out of the address, where no server and no log can see it, and sends it in a form. Without JavaScript
 * people paste the code themselves.
 */
const FRAGMENT_SCRIPT = `const code = decodeURIComponent(location.hash.slice(1));
if (code !== "") {
  history.replaceState(null, "", location.pathname);
  const form = document.forms[0];
  form.elements.code.value = code;
  form.requestSubmit();
}`;

export interface Page {
  /** @default 200 */
  readonly status?: number;
  readonly title: string;
  readonly body: Html;
  /** Whether it reads a code from the address's fragment. */
  readonly readsFragment?: boolean;
  /** A path of this server's that follows at once. */
  readonly refreshTo?: string;
  /** Where its forms may lead besides this server, as CSP sources: answers to them are followed by browsers. */
  readonly formTargets?: readonly string[];
  /** More headers, such as Retry-After. */
  readonly headers?: Readonly<Record<string, string>>;
}

const MARK = "M4 12h20m-6-6 6 6-6 6M28 20H8m6-6-6 6 6 6";
const ICON = `data:image/svg+xml,${encodeURIComponent(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path d="${MARK}" fill="none" stroke="#3d7ff0" stroke-width="3" stroke-linecap="round" stroke-linejoin="round"/></svg>`,
)}`;
const STYLE_SOURCE = sourceOf(STYLE);
const SCRIPT_SOURCE = sourceOf(FRAGMENT_SCRIPT);

/** On every answer below /auth, whoever makes it. */
export const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  // Of the path nobody else learns; with no-referrer browsers would hide the origin of this server's own forms, too.
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
};

export function headersOf(page: Page): Readonly<Record<string, string>> {
  const policy = [
    "default-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "img-src data:",
    `style-src ${STYLE_SOURCE}`,
    ...(page.readsFragment === true ? [`script-src ${SCRIPT_SOURCE}`] : []),
    `form-action ${["'self'", ...(page.formTargets ?? [])].join(" ")}`,
  ];
  return {
    ...COMMON_HEADERS,
    ...page.headers,
    "Content-Security-Policy": policy.join("; "),
    "Content-Type": "text/html; charset=utf-8",
  };
}

/** @param site What people know this server by: `tunnel.example.com`. */
export function documentOf(page: Page, site: string): string {
  const { refreshTo } = page;
  const refresh = refreshTo === undefined ? null : html`<meta http-equiv="refresh" content="0;url=${refreshTo}">`;
  const { text } = html`<title>${page.title} · ${site}</title>${refresh}`;
  const script = page.readsFragment === true ? `<script>${FRAGMENT_SCRIPT}</script>` : "";
  const { text: content } =
    html`<header><svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><path d="${MARK}"/></svg>
<span>${site}</span></header>
<main>
${page.body}
</main>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
${text}
<link rel="icon" href="${ICON}">
<style>${STYLE}</style>
</head>
<body>
${content}
${script}
</body>
</html>
`;
}

function sourceOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
