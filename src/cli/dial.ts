// The commands' way to a server: which one, with which proof of identity. The
// tunnel itself is the SDK's; prints nothing.

import type { ClientKey, TokenSource } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { isLoopbackHost } from "../server/identity/loopback.ts";
import { type CommandContext, warn } from "./context.ts";
import { readSecret } from "./credentials.ts";
import type { UserSettings } from "./settings.ts";
import type { SettingsValues } from "./settings-values.ts";
import type { SignIns } from "./sign-ins.ts";
import { parseServerUrl } from "./units.ts";

export const SERVER_WANTED = "an http:// or https:// address without a path";
/** Where `duplexity serve` listens unless told otherwise. */
export const DEFAULT_SERVER = "http://localhost:8080";

export interface ServerAccess {
  /** An origin: `https://tunnel.example.com`. */
  readonly server: string;
  /** Whether nobody named a server, so that the default is tried. */
  readonly isDefault: boolean;
  /** As it was given, or of the sign-in at this very server, which renews itself. */
  readonly token: TokenSource | undefined;
  /** Whether the token is a stored sign-in's. */
  readonly isSignedIn: boolean;
  /** Left out only where a token says who it is and no key could be kept. */
  readonly key: ClientKey | undefined;
}

/**
 * Which server, and as whom: a token that was given goes before the sign-in, and a sign-in goes to no server but its own.
 *
 * @throws {DuplexityError} `DPX_USAGE` if server, token or key cannot be read, or a token would go to a server that only
 * a found project file names.
 */
export async function readAccess(
  context: CommandContext,
  values: SettingsValues,
  user: UserSettings,
): Promise<ServerAccess> {
  const named = readServer(values);
  const { env, cwd } = context;
  const given = readSecret(values, {
    ...{ what: "token", fileKey: "tokenFile", variable: "DUPLEXITY_TOKEN", env, cwd },
    warn: (message) => warn(context, message),
  });
  if (given !== undefined && named !== undefined) checkTokenMayGo(context, values, named);
  const signIns = await user.signIns();
  const asked = named ?? signIns.current ?? DEFAULT_SERVER;
  const signIn = given === undefined ? signIns.find(asked) : null;
  const server = signIn?.server ?? asked;
  const token = signIn === null ? given : tokenOf(signIns, server);
  const key = await user.clientKey().catch((error: unknown) => {
    if (token === undefined) throw error;
    // A container with a token and no writable home: the key would only make random names stay the same.
    return undefined;
  });
  return {
    server,
    isDefault: named === undefined && asked === DEFAULT_SERVER,
    token,
    isSignedIn: signIn !== null,
    key,
  };
}

/** The server that flag, environment or a file names. */
export function readServer(values: SettingsValues): string | undefined {
  return values.parse("server", SERVER_WANTED, parseServerUrl);
}

function tokenOf(signIns: SignIns, server: string): TokenSource {
  return async (signal) => {
    const { token, expiresAt } = await signIns.fresh(server, signal);
    return { token, expiresAt };
  };
}

/** Whoever wrote the folder that a command happens to run in must not be sent this person's token. */
function checkTokenMayGo(context: CommandContext, values: SettingsValues, server: string): void {
  const stranger = values.strangerOf("server");
  if (stranger !== null) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot send the token to ${server}: only ${stranger}, which was merely found here, names that server`,
      { hint: `If you trust it, name it: --server ${server}, DUPLEXITY_SERVER, or --config ${stranger}` },
    );
  }
  const { protocol, hostname } = new URL(server);
  if (protocol === "http:" && !isLoopbackHost(hostname)) {
    warn(context, `the token goes to ${server} unencrypted, for all on the way to read; use https://`);
  }
}

/** A failure with what to do about it, where only the command knows: who chose the server, what else there is to try. */
export function explain(error: DuplexityError, access: ServerAccess): DuplexityError {
  const hint = hintFor(error, access);
  return hint === undefined ? error : new DuplexityError(error.code, error.message, { hint, cause: error });
}

function hintFor(error: DuplexityError, access: ServerAccess): string | undefined {
  if (error.code === "DPX_SERVER_UNREACHABLE") {
    return access.isDefault
      ? "No server was named, so the one on this machine was tried. Start it: duplexity serve --no-auth, or name yours: --server URL"
      : (error.hint ?? "Check the address, or start it there: duplexity serve");
  }
  const login = `duplexity login ${access.server}`;
  if (error.code === "DPX_AUTH_REQUIRED" && access.token === undefined) return login;
  if (error.code === "DPX_AUTH_INVALID" && access.isSignedIn) {
    // The server wants a key: what is stored here is of another time.
    return /--no-auth/.test(error.message) ? `duplexity logout ${access.server}` : login;
  }
  return error.hint;
}
