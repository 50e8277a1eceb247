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
  readonly key: ClientKey;
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
  return { server: server ?? DEFAULT_SERVER, isDefault: server === undefined, token, key: await user.clientKey() };
}

/** The error of a first connect with what to do about it, since only the command knows who chose the server. */
export function explainUnreachable(error: DuplexityError, access: ServerAccess): DuplexityError {
  if (error.code !== "DPX_SERVER_UNREACHABLE") return error;
  const hint = access.isDefault
    ? "No server was named, so the one on this machine was tried. Start it: duplexity serve --no-auth, or name yours: --server URL"
    : "Check the address, or start it there: duplexity serve";
  return new DuplexityError(error.code, error.message, { hint, cause: error });
}
