// What `serve` tells whoever runs it: a banner, log lines, or JSON lines.

import type { IdentityOptions } from "../../server/index.ts";
import { escapeControls, formatClock, formatDuration } from "./format.ts";
import { writeJsonLine } from "./json-lines.ts";
import type { LogFormat, ServeLog } from "./serve-log.ts";
import { type LookOptions, lookOf, type Output, type Palette } from "./style.ts";

export interface Listening {
  readonly publicUrl: string;
  readonly internalUrl: string;
  readonly domain: string;
  readonly nodeId: string;
  readonly identity: IdentityOptions["kind"];
  readonly tcpPorts?: string;
}

export interface ServeView {
  listening(facts: Listening): void;
  /**
   * How the first admin is made. The link is a secret: it is shown on a terminal only.
   *
   * @param leave Leaves it where it can be read instead and answers where that is; null: nowhere.
   */
  claim(claim: { readonly url: string; readonly expiresAt: number }, leave: () => string | null): void;
  draining(deadlineMs: number): void;
  stopped(): void;
}

export interface ServeViewOptions extends LookOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly version: string;
  /** Takes what no terminal shows. */
  readonly log: ServeLog;
  readonly logFormat: LogFormat;
  readonly isJson: boolean;
}

const IDENTITY: Readonly<Record<IdentityOptions["kind"], string>> = {
  "no-auth": "each client's own key (--no-auth: this machine only)",
  accounts: "people sign in, machines have tokens",
};

export function createServeView(options: ServeViewOptions): ServeView {
  const { stdout, stderr, isJson } = options;
  // On a terminal the banner is the output; in a pipe stdout is kept for the one thing a script wants.
  const banner = stdout.isTTY ? stdout : stderr;
  const { palette } = lookOf(banner, options);
  // A log of JSON lines stays one: what would be words beside them is a line of it.
  const isLogged = banner === stderr && options.logFormat === "json";
  const note = (text: string, plain: string) => {
    if (isLogged) options.log("info", plain);
    else banner.write(`  ${text}\n`);
  };
  return {
    listening(facts) {
      if (isJson) {
        const { publicUrl, internalUrl, domain, nodeId } = facts;
        writeJsonLine(stdout, { type: "listening", public: publicUrl, internal: internalUrl, domain, nodeId });
        return;
      }
      if (!stdout.isTTY) stdout.write(`${facts.publicUrl}\n`);
      if (isLogged) options.log("info", `Serving ${facts.domain} at ${facts.publicUrl}, internal ${facts.internalUrl}`);
      else banner.write(bannerOf(facts, options.version, palette));
    },
    claim({ url, expiresAt }, leave) {
      const until = formatClock(new Date(expiresAt));
      if (banner.isTTY === true && !isJson) {
        banner.write(
          `  ${palette.strong("There is no admin yet.")} Whoever opens this link becomes it, until ${until}:\n\n`,
        );
        banner.write(`      ${palette.link(url)}\n\n`);
      } else {
        const path = leave();
        const where =
          path === null
            ? "Start on a terminal for the link, or make one by an admin token: duplexity user add NAME --admin."
            : `The link to become it, until ${until}, is in ${path}`;
        const text = `There is no admin yet. ${where}`;
        if (options.logFormat === "json") options.log("warn", text);
        else stderr.write(`  ${escapeControls(text)}\n`);
      }
    },
    draining(deadlineMs) {
      if (isJson) writeJsonLine(stdout, { type: "draining", deadlineMs });
      else {
        const text = `Draining, at most ${formatDuration(deadlineMs)}…`;
        note(`${text} ${palette.faint("(Ctrl-C again to stop now)")}`, text);
      }
    },
    stopped() {
      if (isJson) writeJsonLine(stdout, { type: "stopped" });
      else note(`${palette.good("✔")} stopped`, "Stopped");
    },
  };
}

function bannerOf(facts: Listening, version: string, palette: Palette): string {
  const line = (name: string, text: string) => `  ${palette.good("➜")}  ${name.padEnd(9)} ${text}\n`;
  return [
    `\n  ${palette.brand("DUPLEXITY")} ${palette.faint(version.split(".").slice(0, 2).join("."))}  serving ${facts.domain}\n\n`,
    line("Public", `${palette.link(facts.publicUrl)}  ${palette.faint(`pipes: ${pipeUrl(facts)}`)}`),
    ...(facts.tcpPorts === undefined ? [] : [line("TCP", `tcp://${facts.domain}:${facts.tcpPorts}`)]),
    line("Internal", palette.faint(facts.internalUrl)),
    line("Identity", palette.faint(IDENTITY[facts.identity])),
    line("Next", nextCommand(facts)),
    "\n",
  ].join("");
}

function pipeUrl(facts: Listening): string {
  const { protocol, port } = new URL(facts.publicUrl);
  return `${protocol}//NAME.${facts.domain}${port === "" ? "" : `:${port}`}`;
}

/** What to type on the laptop. The server's address is left out where `up` would take it anyway. */
function nextCommand(facts: Listening): string {
  const { protocol, port } = new URL(facts.publicUrl);
  const address = `${protocol}//${facts.domain}${port === "" ? "" : `:${port}`}`;
  const server = address === "http://localhost:8080" ? "" : ` --server ${address}`;
  if (facts.identity === "accounts") return `duplexity login ${address}, then duplexity up --pipe cat1:9090`;
  return `duplexity up --pipe cat1:9090${server}`;
}
