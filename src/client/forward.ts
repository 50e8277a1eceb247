// `forward()`: checks what it is given, then opens a tunnel.

import { setMaxListeners } from "node:events";
import { DuplexityError } from "../protocol/index.ts";
import { ClientTunnel } from "./client-tunnel.ts";
import { Credential } from "./credential.ts";
import { sealPipes } from "./gate.ts";
import { newClientKey, stableIdentity } from "./identity.ts";
import { resolvePipes } from "./pipe.ts";
import { controlUrl } from "./server-url.ts";
import type { ForwardOptions, GateOptions, PipeOptions, Tunnel } from "./tunnel.ts";

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Opens a tunnel from a public hostname to `target` and resolves when visitors can come. It then stays up for ever,
 * through cut links and restarts of the server, until `close()`, or until the server does not want it any more.
 *
 * @param target `9090`, `host:port`, `http://…`, `https://…`, `https+insecure://…`, `tcp://host:port`, `unix:/path`.
 * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE`; `DPX_USAGE`, `DPX_TARGET_INVALID`, `DPX_NAME_…` before anything is
 * dialled; `DPX_AUTH_…`, `DPX_NAME_TAKEN`, `DPX_PROTOCOL_VERSION` … as the server refuses; `DPX_CANCELLED` by `signal`.
 */
export function forward(target: string | number, options: ForwardOptions): Promise<Tunnel>;
/** The same for one tunnel with several pipes. */
export function forward(options: ForwardOptions & { readonly pipes: readonly PipeOptions[] }): Promise<Tunnel>;
export async function forward(first: string | number | ForwardOptions, second?: ForwardOptions): Promise<Tunnel> {
  const options = typeof first === "object" ? first : second;
  if (options === undefined)
    throw new DuplexityError("DPX_USAGE", "Cannot open a tunnel: it has no options, wanted { server }");
  const { server, signal, token, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  const url = controlUrl(server);
  const identity = { token, key: options.key ?? (token === undefined ? newClientKey() : undefined) };
  const who = await stableIdentity({ ...identity, signal }).catch((error: unknown) => {
    throwIfCancelled(signal);
    throw error;
  });
  const pipes = await sealPipes(resolvePipes(pipesOf(first, options), who));
  throwIfCancelled(signal);
  const tunnel = new ClientTunnel({
    url,
    pipes,
    credential: new Credential(identity),
    wantsReports: options.reports === true,
    connectTimeoutMs,
    maxLinks: options.links ?? 2,
  });
  const abort = (): void => {
    void tunnel.close();
  };
  if (signal !== undefined) {
    // Any number of tunnels may hang on one signal: Node would warn of the eleventh.
    setMaxListeners(0, signal);
    signal.addEventListener("abort", abort, { once: true });
  }
  tunnel.once("close", () => signal?.removeEventListener("abort", abort));
  try {
    await tunnel.open();
  } catch (error) {
    throwIfCancelled(signal);
    throw error;
  }
  return tunnel;
}

function pipesOf(first: string | number | ForwardOptions, options: ForwardOptions): readonly PipeOptions[] {
  const { name, pipes, gate } = options;
  if (typeof first === "object") return (pipes ?? []).map((pipe) => withGate(pipe, gate));
  if (pipes !== undefined) {
    throw new DuplexityError("DPX_USAGE", "Cannot open a tunnel to a target and to pipes: wanted one of the two", {
      hint: "Write forward({ server, pipes: [{ target: 9090 }, …] }).",
    });
  }
  return [withGate(name === undefined ? { target: first } : { target: first, name }, gate)];
}

function withGate(pipe: PipeOptions, gate: GateOptions | undefined): PipeOptions {
  return pipe.gate !== undefined || gate === undefined ? pipe : { ...pipe, gate };
}

function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new DuplexityError("DPX_CANCELLED", "The tunnel was cancelled before it was up", { cause: signal.reason });
}
