// The page that the browser shows at the end of a sign-in: small, from this machine, without script or anything from
// outside.

import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { escapeHtml } from "../../server/escape-html.ts";
import type { CallbackOutcome } from "./callback.ts";

const STYLE = `:root{color-scheme:light dark;font:18px/1.5 system-ui,sans-serif}
body{margin:0;min-height:100vh;display:grid;place-items:center}
main{padding:2rem;max-width:32rem}
h1{font-size:1.6rem;margin:0 0 .5rem}`;
const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

/** Answers and closes the connection. `outcome.why` may be a stranger's words. */
export function answerPage(response: ServerResponse, status: number, outcome: CallbackOutcome): void {
  const title = outcome.isSignedIn ? "You are signed in" : "You are not signed in";
  const text = outcome.isSignedIn ? "You can close this window and go back to the terminal." : outcome.why;
  const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title} · duplexity</title>
<style>${STYLE}</style>
<main><h1>${title}</h1><p>${escapeHtml(text)}</p></main>
</html>
`;
  response.writeHead(status, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Length": Buffer.byteLength(page),
    "Content-Security-Policy": `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    "X-Content-Type-Options": "nosniff",
    // The address holds a code: it is used up, and still nobody's business.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    Connection: "close",
    ...(outcome.isSignedIn ? {} : { "Duplexity-Error": "DPX_SIGN_IN_FAILED" }),
  });
  response.end(page);
}
