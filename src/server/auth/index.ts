// Signs people in: the OpenID provider under /auth, its pages, an outside provider behind it, visitors of pipes. Knows
// neither hub nor proxy.

import type { AuthService, AuthServiceOptions } from "./options.ts";

export type { AuthService, AuthServiceOptions, OutsideProviderOptions } from "./options.ts";

/**
 * Makes the signing keys if there are none, and is ready to answer.
 *
 * @throws {DuplexityError} `DPX_USAGE` if an option cannot be used, `DPX_STORE` if the store cannot be read.
 */
export async function createAuthService(options: AuthServiceOptions): Promise<AuthService> {
  // The provider's package takes as long to load as all the rest of the server, which may do without it.
  const { openAuthService } = await import("./service.ts");
  return openAuthService(options);
}
