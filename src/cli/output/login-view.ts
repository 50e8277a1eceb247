// What `login` tells: where to go, which code to type, and who is signed in. Opens nothing itself.

import type { DeviceCode } from "../sign-in/device.ts";
import { escapeControls, formatMoment } from "./format.ts";
import { writeJsonLine } from "./json-lines.ts";
import { type LookOptions, lookOf, type Output } from "./style.ts";

export interface LoggedIn {
  readonly server: string;
  readonly user: string;
  readonly role: string;
  /** Unix ms; null: never. */
  readonly expiresAt: number | null;
  /** Null: the token is all there is. */
  readonly renewal: object | null;
}

export interface LoginView {
  /** @param isOpened Whether a browser is opened by itself. */
  authorize(url: string, isOpened: boolean): void;
  noBrowser(why: string): void;
  /** @param why Why it is done on another device, when nobody asked for that. */
  device(code: DeviceCode, why: string | null): void;
  loggedIn(who: LoggedIn): void;
}

export interface LoginViewOptions extends LookOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly isJson: boolean;
  readonly wantsQr: boolean;
}

export function createLoginView(options: LoginViewOptions): LoginView {
  const { stdout, stderr, isJson, wantsQr } = options;
  // In a pipe stdout is kept for the one thing that a script wants: where to go.
  const screen = stdout.isTTY && !isJson ? stdout : stderr;
  const { palette, isTerminal } = lookOf(screen, options);
  const note = (text: string) => screen.write(`${text}\n`);
  const showQr = async (text: string) => {
    if (!wantsQr || !isTerminal) return;
    const { renderUnicodeCompact } = await import("uqr");
    note(`${renderUnicodeCompact(text, { border: 2 }).replace(/^/gm, "  ")}\n`);
  };
  return {
    authorize(url, isOpened) {
      if (isJson) {
        writeJsonLine(stdout, { type: "authorize", url });
        return;
      }
      if (!stdout.isTTY) stdout.write(`${url}\n`);
      note(
        `\n  ${isOpened ? "Your browser opens. If it does not, go to" : "Go to"}\n\n  ${palette.link(escapeControls(url))}\n`,
      );
      note(`  ${palette.faint("Waiting for the browser to come back… (Ctrl-C gives up)")}\n`);
      void showQr(url);
    },
    noBrowser(why) {
      if (!isJson) note(`  ${palette.warning("No browser could be opened")}: ${escapeControls(why)}\n`);
    },
    device({ verificationUri, userCode, expiresAt }, why) {
      if (isJson) {
        writeJsonLine(stdout, { type: "device", verificationUri, userCode, expiresAt: expiresAt.toISOString() });
        return;
      }
      if (!stdout.isTTY) stdout.write(`${verificationUri} ${userCode}\n`);
      const [where, code] = [escapeControls(verificationUri), escapeControls(userCode)];
      if (why !== null) note(`\n  No browser is opened here: ${why}.`);
      note(`\n  On any device, go to   ${palette.link(where)}\n  and type the code      ${palette.strong(code)}\n`);
      const until = formatMoment(expiresAt, new Date());
      note(`  ${palette.faint(`Waiting until ${until}… (Ctrl-C gives up)`)}\n`);
      void showQr(verificationUri);
    },
    loggedIn({ server, user, role, expiresAt, renewal }) {
      if (isJson) {
        const ends = expiresAt === null ? null : new Date(expiresAt).toISOString();
        writeJsonLine(stdout, { type: "loggedIn", server, user, role, expiresAt: ends });
        return;
      }
      const who = escapeControls(role === "admin" ? `${user} (admin)` : user);
      const until = expiresAt === null ? "" : ` until ${formatMoment(new Date(expiresAt), new Date())}`;
      const end = renewal === null ? until : ", renewed by itself";
      note(`${palette.good("✔")} signed in to ${server} as ${who}${palette.faint(end)}`);
    },
  };
}
