// Whether this server can keep visitors out as a pipe's client asks: what it can't ask of them, it must not let pass.

import { DuplexityError, type PipeRequest } from "../../protocol/index.ts";

/**
 * @param canSignIn Whether visitors can sign in with this server.
 * @throws {DuplexityError} `DPX_USAGE` for what this pipe's visitors can't be asked.
 */
export function checkGate({ name, protocol, gate }: PipeRequest, canSignIn: boolean): void {
  if (gate === undefined) return;
  if (protocol === "tcp" && (gate.basicAuth !== undefined || gate.login === true)) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot register "${name}": visitors of a TCP pipe can't be asked who they are, only where they come from`,
      { hint: "Give it a gate with networks alone: --allow-cidr." },
    );
  }
  if (gate.login === true && !canSignIn) {
    throw new DuplexityError("DPX_USAGE", `Cannot register "${name}" with a sign-in: this server has no accounts`, {
      hint: "Leave --login out, and keep visitors out by --basic-auth FILE or --allow-cidr.",
    });
  }
}
