// Stands in for what is being written.

import { DuplexityError } from "../../protocol/index.ts";

export function notYet(..._: readonly unknown[]): never {
  throw new DuplexityError("DPX_INTERNAL", "Cannot do that yet");
}
