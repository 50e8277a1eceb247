// Many owners who want one name at the same moment, at all nodes of a cluster. Says what each of them got.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { startHttpOrigin } from "./http-origin.ts";
import { isObject } from "./lines.ts";
import type { Nodes } from "./nodes.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

const SCRIPT = fileURLToPath(new URL("./many-claims.js", import.meta.url));
const PROCESSES = 4;
/** Requests of the API that make the owners, at once. */
const PARALLEL = 16;
/** A thousand clients on a machine that does ten things at once. */
const ROUND_MS = 60_000;

export interface Claim {
  /** `up`, or the code of the refusal. */
  readonly result: string;
  readonly clientId: string | null;
  readonly ms: number;
}

export interface Claimers {
  /** Each claims once. Resolves when each has an answer. `leaves`: whoever has the name lets go of it meanwhile. */
  round(options?: { readonly leaves?: boolean }): Promise<readonly Claim[]>;
  /** How many have let go of the name, or lost it. */
  readonly ended: number;
}

/** `count` owners with a token each, in a few processes. */
export async function startClaimers(
  stage: Stage,
  nodes: Nodes,
  options: { readonly name: string; readonly count: number },
): Promise<Claimers> {
  const { name, count } = options;
  const tokens = await makeOwners(nodes, count);
  const origin = await startHttpOrigin(stage, "hello");
  const servers = nodes.servers.map(({ url }) => url).join(",");
  let claims: Claim[] = [];
  let ended = 0;
  const take = (line: unknown): void => {
    if (!isObject(line)) throw new Error(JSON.stringify(line));
    const { type, result, clientId, ms } = line;
    if (type === "closed") ended += 1;
    else
      claims.push({
        result: String(result),
        clientId: clientId === undefined ? null : String(clientId),
        ms: Number(ms),
      });
  };
  const each = Math.ceil(count / PROCESSES);
  const children: ChildProcess[] = [];
  for (let at = 0; at < count; at += each) {
    const child = spawn(process.execPath, [SCRIPT, servers, origin.target, name], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const gone = new Promise((resolve) => child.on("close", resolve));
    stage.defer(() => {
      child.kill("SIGKILL");
      return gone;
    });
    createInterface({ input: child.stdout }).on("line", (text) => take(JSON.parse(text)));
    child.stdin.write(`${JSON.stringify(tokens.slice(at, at + each))}\n`);
    children.push(child);
  }
  return {
    get ended() {
      return ended;
    },
    async round({ leaves = false } = {}) {
      claims = [];
      for (const { stdin } of children) stdin?.write(leaves ? "leave\nclaim\n" : "claim\n");
      await poll(
        () => claims.length === count,
        ROUND_MS,
        `an answer for each of ${count} claims, not ${claims.length}`,
      );
      return claims;
    },
  };
}

async function makeOwners(nodes: Nodes, count: number): Promise<readonly string[]> {
  const tokens: string[] = [];
  let next = 0;
  const make = async (): Promise<void> => {
    while (next < count) {
      const user = `user${next}`;
      next += 1;
      // At one node: another one may hear of a user a moment later.
      await nodes.admin("/api/users", { name: user }, 0);
      const { secret } = await nodes.admin("/api/tokens", { name: "ci", user }, 0);
      tokens.push(String(secret));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, make));
  return tokens;
}
