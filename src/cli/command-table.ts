// Every command with its words, flags and module: from it come --help and what main loads. Loads no command itself.

import type { Command } from "./context.ts";
import {
  API_FLAGS,
  AUDIT_FLAGS,
  DOWN_FLAGS,
  type Flag,
  KICK_FLAGS,
  LIST_FLAGS,
  LOGIN_FLAGS,
  LOGOUT_FLAGS,
  SERVE_FLAGS,
  STATUS_FLAGS,
  TOKEN_CREATE_FLAGS,
  UP_FLAGS,
  USER_ADD_FLAGS,
} from "./flags.ts";

export interface CommandEntry {
  /** One word, or two: the second is then a command of the group that the first one names. */
  readonly name: string;
  /** As commander reads them. */
  readonly words: string;
  readonly does: string;
  readonly flags: readonly Flag[];
  readonly load: () => Promise<{ run: Command }>;
  /** Stands below --help. */
  readonly more: string;
}

const TARGETS = `
Targets:  9090 · host:port · http://host:port · https://host:port
          https+insecure://host:port · tcp://host:port · unix:/path`;

/** What the first word of two stands for. */
export const GROUPS: ReadonlyMap<string, string> = new Map([
  ["user", "add, invite, list and remove people (admin)"],
  ["token", "make, list and revoke tokens for machines"],
]);

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "up",
    words: "[target...]",
    does: "open pipes to local services, and stay",
    flags: UP_FLAGS,
    load: () => import("./commands/up.ts"),
    more: `${TARGETS}

Examples: duplexity up 9090
          duplexity up --pipe cat1:localhost:9090 --pipe db:tcp://localhost:5432`,
  },
  {
    name: "down",
    words: "[name...]",
    does: "close pipes that run here",
    flags: DOWN_FLAGS,
    load: () => import("./commands/down.ts"),
    more: "",
  },
  {
    name: "status",
    words: "",
    does: "show the pipes that run here",
    flags: STATUS_FLAGS,
    load: () => import("./commands/status.ts"),
    more: "",
  },
  {
    name: "list",
    words: "",
    does: "show the server's clients and pipes",
    flags: LIST_FLAGS,
    load: () => import("./commands/list.ts"),
    more: "",
  },
  {
    name: "login",
    words: "[server]",
    does: "sign in to a server",
    flags: LOGIN_FLAGS,
    load: () => import("./commands/login.ts"),
    more: `
Several sign-ins stay side by side; the newest is the one that other commands use.

Examples: duplexity login tunnel.example.com
          duplexity login tunnel.example.com --with-token < token`,
  },
  {
    name: "logout",
    words: "[server]",
    does: "forget a sign-in, and end it on the server",
    flags: LOGOUT_FLAGS,
    load: () => import("./commands/logout.ts"),
    more: "",
  },
  {
    name: "whoami",
    words: "",
    does: "say who you are to the server",
    flags: API_FLAGS,
    load: () => import("./commands/whoami.ts"),
    more: "",
  },
  {
    name: "kick",
    words: "<who>",
    does: "end clients, by clientId, hostname or user (admin)",
    flags: KICK_FLAGS,
    load: () => import("./commands/kick.ts"),
    more: `
Examples: duplexity kick cat1
          duplexity kick ben --ban 2h --reason "too many requests" --yes`,
  },
  {
    name: "unban",
    words: "<who>",
    does: "lift a ban (admin)",
    flags: API_FLAGS,
    load: () => import("./commands/unban.ts"),
    more: "",
  },
  {
    name: "audit",
    words: "",
    does: "print what happened, as JSON lines (admin)",
    flags: AUDIT_FLAGS,
    load: () => import("./commands/audit.ts"),
    more: "",
  },
  {
    name: "user add",
    words: "<name>",
    does: "make an account and print its invite link",
    flags: USER_ADD_FLAGS,
    load: () => import("./commands/user-add.ts"),
    more: "",
  },
  {
    name: "user invite",
    words: "<name>",
    does: "print a new invite link, also for a lost password",
    flags: API_FLAGS,
    load: () => import("./commands/user-invite.ts"),
    more: "",
  },
  {
    name: "user list",
    words: "",
    does: "show the people of the server",
    flags: API_FLAGS,
    load: () => import("./commands/user-list.ts"),
    more: "",
  },
  {
    name: "user remove",
    words: "<name>",
    does: "remove an account with its tokens",
    flags: API_FLAGS,
    load: () => import("./commands/user-remove.ts"),
    more: "",
  },
  {
    name: "token create",
    words: "<name>",
    does: "make a token for a machine and print it, once",
    flags: TOKEN_CREATE_FLAGS,
    load: () => import("./commands/token-create.ts"),
    more: `
Example:  duplexity token create ci --names 'ci-*' --expires 30d > token`,
  },
  {
    name: "token list",
    words: "",
    does: "show your tokens (an admin sees all)",
    flags: API_FLAGS,
    load: () => import("./commands/token-list.ts"),
    more: "",
  },
  {
    name: "token revoke",
    words: "<token>",
    does: "end a token, by its id or name",
    flags: API_FLAGS,
    load: () => import("./commands/token-revoke.ts"),
    more: "",
  },
  {
    name: "serve",
    words: "",
    does: "run a server",
    flags: SERVE_FLAGS,
    load: () => import("./commands/serve.ts"),
    more: `
Each flag can also be set by environment (--tcp-ports: DUPLEXITY_TCP_PORTS) or in
duplexity.json ({"serve": {"tcpPorts": "…"}}). A time is 500ms, 30s, 5m, 2h or 1d;
a size is 65536, 64KiB or 16MiB.

Example:  duplexity serve --no-auth`,
  },
];

/** The command that a command line begins with, as far as there is one: for messages. */
export function commandAt(argv: readonly string[]): string | undefined {
  const [first = "", second = ""] = argv;
  return [`${first} ${second}`, first].find((name) => COMMANDS.some((each) => each.name === name) || GROUPS.has(name));
}
