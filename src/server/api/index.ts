// The JSON API under /api on the public listener, for the commands. Bearer tokens only: no cookie opens it.

import type { IncomingMessage, ServerResponse } from "node:http";
import { DuplexityError } from "../../protocol/index.ts";
import { answerError } from "../http-answer.ts";
import type { ApiOptions } from "./options.ts";

export type { ApiOptions, ApiPeople } from "./options.ts";

export interface Api {
  /** Answers every request under /api. */
  handle(request: IncomingMessage, response: ServerResponse): void;
}

export function createApi(_options: ApiOptions): Api {
  return {
    handle: (_request, response) =>
      answerError(response, new DuplexityError("DPX_REQUEST_INVALID", "Cannot serve the request: nothing is there"), {
        status: 404,
      }),
  };
}
