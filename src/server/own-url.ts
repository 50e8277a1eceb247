// Whether other nodes reach this one where it says that they do. With another node's address it would take clients whose visitors
// come to that node.

import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import type { NodeAddress } from "./node-address.ts";
import { askNodeId, type NodeIdentification } from "./node-id.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";

export interface OwnUrlOptions {
  readonly nodeId: string;
  readonly address: Pick<NodeAddress, "internalUrl">;
}

/** How long whoever is there may take. */
const TIMEOUT_MS = 1_000;

export class OwnUrl {
  readonly #node: Pick<ResolvedServeOptions, "cluster" | "internalTls" | "log">;
  readonly #options: OwnUrlOptions;
  #isFound = false;
  #hasWarned = false;

  constructor(node: Pick<ResolvedServeOptions, "cluster" | "internalTls" | "log">, options: OwnUrlOptions) {
    this.#node = node;
    this.#options = options;
  }

  /**
   * Looks until this node has been found there once. Where nobody answers, other nodes may do so later or by another way, such as
   * a load balancer that does not lead here before this node is ready: that is warned of, once.
   *
   * @throws {DuplexityError} `DPX_USAGE` if another node is there.
   */
  async check(): Promise<void> {
    const { cluster } = this.#node;
    // Its own listener's address needs no look.
    if (cluster?.nodeUrl === undefined || this.#isFound) return;
    const there = await this.#ask(cluster.nodeUrl, cluster.secrets);
    if (there === null) return;
    if (there.nodeId !== this.#options.nodeId) throw this.#elsewhere(cluster.nodeUrl, there);
    this.#isFound = true;
  }

  async #ask(nodeUrl: string, secrets: readonly string[]): Promise<NodeIdentification | null> {
    const { internalTls: tls, log } = this.#node;
    try {
      return await askNodeId(nodeUrl, { secrets, tls, timeoutMs: TIMEOUT_MS });
    } catch (error) {
      if (this.#hasWarned) return null;
      this.#hasWarned = true;
      const why = asDuplexityError(error).message;
      log("warn", `This node does not find itself at --node-url ${nodeUrl}, where others are to reach it: ${why}`);
      return null;
    }
  }

  #elsewhere(nodeUrl: string, there: NodeIdentification): DuplexityError {
    const { nodeId, address } = this.#options;
    const who = `node ${there.nodeId}${there.isProven ? "" : ", which does not show this cluster's secret,"}`;
    return new DuplexityError(
      "DPX_USAGE",
      `Cannot be reached at --node-url ${nodeUrl}: ${who} answers there, and this one is ${nodeId}`,
      { hint: `Name the address at which others reach this node's own --internal-listen, ${address.internalUrl}.` },
    );
  }
}
