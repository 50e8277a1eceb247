// The commands' way to a server: which one, with which proof of identity. The
// tunnel itself is the SDK's; prints nothing.

import type { ClientKey } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { isLoopbackHost } from "../server/identity/loopback.ts";
import { type CommandContext, warn } from "./context.ts";
import { readSecret } from "./credentials.ts";
import type { UserSettings } from "./settings.ts";
import type { SettingsValues } from "./settings-values.ts";
import { parseServerUrl } from "./units.ts";

/** Where `duplexity serve` listens unless told otherwise. */
export const DEFAULT_SERVER = "http://localhost:8080";

export interface ServerAccess {
  /** An origin: `https://tunnel.example.com`. */
  readonly server: string;
  /** Whether nobody named a server, so that the default is tried. */
  readonly isDefault: boolean;
  readonly token: string | undefined;
  /** Left out only where a token says who it is and no key could be kept. */
  readonly key: ClientKey | undefined;
}

/**
 * @throws {DuplexityError} `DPX_USAGE` if server, token or key cannot be read, or a token would go to a server that only
 * a found project file names.
 */
export async function readAccess(
  context: CommandContext,
  values: SettingsValues,
  user: UserSettings,
): Promise<ServerAccess> {
  const server = values.parse("server", "an http:// or https:// address without a path", parseServerUrl);
  const { env, cwd } = context;
  const token = readSecret(values, { fileKey: "tokenFile", variable: "DUPLEXITY_TOKEN", env, cwd });
  if (token !== undefined && server !== undefined) checkTokenMayGo(context, values, server);
  const key = await user.clientKey().catch((error: unknown) => {
    if (token === undefined) throw error;
    // A container with a token and no writable home: the key would only make random names stay the same.
    return undefined;
  });
  return { server: server ?? DEFAULT_SERVER, isDefault: server === undefined, token, key };
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
  if (error.code === "DPX_AUTH_REQUIRED" && access.token === undefined) {
    return `Ask whoever runs ${access.server} for its token, and put it into DUPLEXITY_TOKEN or a file: --token-file FILE`;
  }
  return error.hint;
}
