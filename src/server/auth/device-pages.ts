// The pages on which somebody lets in a machine that has no browser: the code is typed, looked at once more, approved. No
// link brings the code along: who merely follows one has approved nothing.

import { html } from "./html.ts";
import type { Page } from "./page.ts";

/** Where the forms go; `xsrf` is the provider's own token for this session. */
interface DeviceForm {
  readonly xsrf: string;
  readonly userName: string;
}

export function userCodePage({ xsrf, userName, error }: DeviceForm & { readonly error?: string }): Page {
  return {
    title: "Let a machine in",
    status: error === undefined ? 200 : 400,
    body: html`<h1>Let a machine in</h1>
${error === undefined ? null : html`<p class="alert" role="alert" id="error">${error}</p>`}
<p>Type the code that <code>duplexity login --device</code> shows on its screen.</p>
<form method="post" action="/auth/device">
<input type="hidden" name="xsrf" value="${xsrf}">
<label for="user_code">Code</label>
<input class="code" id="user_code" name="user_code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" required autofocus${error === undefined ? null : html` aria-invalid="true" aria-describedby="error"`}>
<button>Continue</button>
</form>
<p class="foot">Signed in as ${userName}. <a href="/auth/account">Not you?</a></p>`,
  };
}

export interface ConfirmDevicePageOptions extends DeviceForm {
  readonly userCode: string;
  /** As the machine calls itself. */
  readonly machine: string | null;
  /** Where it asked from. */
  readonly address: string;
}

export function confirmDevicePage({ xsrf, userName, userCode, machine, address }: ConfirmDevicePageOptions): Page {
  return {
    title: "Approve this machine?",
    body: html`<h1>Approve this machine?</h1>
<p class="shown" aria-label="Code ${userCode}">${userCode}</p>
<dl><dt>Machine</dt><dd>${machine ?? "does not say its name"}</dd><dt>Address</dt><dd>${address}</dd><dt>Access</dt><dd>all that ${userName} may do</dd></dl>
<p class="warn">Approve only if you have started this sign-in yourself, just now, and that machine shows the same code. If somebody sent you the code, it is a trick: deny.</p>
<form method="post" action="/auth/device">
<input type="hidden" name="xsrf" value="${xsrf}"><input type="hidden" name="user_code" value="${userCode}">
<div class="both"><button class="quiet" name="abort" value="yes">Deny</button><button name="confirm" value="yes">Approve</button></div>
</form>`,
  };
}
