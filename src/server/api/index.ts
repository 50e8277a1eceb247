// The JSON API under /api on the public listener, for the commands. Bearer tokens only: no cookie opens it.

import type { IncomingMessage, ServerResponse } from "node:http";
import { auditEndpoints } from "./audit.ts";
import { banEndpoints } from "./bans.ts";
import { kickEndpoints } from "./kick.ts";
import type { ApiOptions } from "./options.ts";
import { ApiRouter } from "./router.ts";
import { tokenEndpoints } from "./tokens.ts";
import { userEndpoints } from "./users.ts";
import { whoamiEndpoints } from "./whoami.ts";

export type { ApiHub, ApiOptions } from "./options.ts";

export interface Api {
  /** Answers every request under /api. */
  handle(request: IncomingMessage, response: ServerResponse): void;
}

export function createApi(options: ApiOptions): Api {
  const router = new ApiRouter(options, {
    ...whoamiEndpoints(options),
    ...kickEndpoints(options),
    ...banEndpoints(options),
    ...auditEndpoints(options),
    ...userEndpoints(options),
    ...tokenEndpoints(options),
  });
  return { handle: (request, response) => void router.handle(request, response) };
}
