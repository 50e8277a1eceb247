// The commands' way to a server: which one, with which proof of identity. The
// tunnel itself is the SDK's; prints nothing.

import type { ClientKey } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import type { CommandContext } from "./context.ts";
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

/** @throws {DuplexityError} `DPX_USAGE` if server, token or key cannot be read. */
export async function readAccess(
  context: CommandContext,
  values: SettingsValues,
  user: UserSettings,
): Promise<ServerAccess> {
  const server = values.parse("server", "an http:// or https:// address without a path", parseServerUrl);
  const { env, cwd } = context;
  const token = readSecret(values, { fileKey: "tokenFile", variable: "DUPLEXITY_TOKEN", env, cwd });
  const key = await user.clientKey().catch((error: unknown) => {
    if (token === undefined) throw error;
    // A container with a token and no writable home: the key would only make random names stay the same.
    return undefined;
  });
  return { server: server ?? DEFAULT_SERVER, isDefault: server === undefined, token, key };
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
      : "Check the address, or start it there: duplexity serve";
  }
  if (error.code === "DPX_AUTH_REQUIRED" && access.token === undefined) {
    return `Ask whoever runs ${access.server} for its token, and put it into DUPLEXITY_TOKEN or a file: --token-file FILE`;
  }
  return error.hint;
}
