// Which node is at an address: a node tells whoever asks its internal listener, and proves it with the cluster's secret for the
// word that it was asked with. Says nothing else of itself.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Client } from "undici";
import { DuplexityError, fields } from "../protocol/index.ts";
import { answerError, answerJson } from "./http-answer.ts";
import type { NodeTls } from "./node-tls.ts";

export const NODE_ID_PATH = "/node-id";
/** An id and a proof are less. */
const MAX_ANSWER_BYTES = 4_096;
const MAX_WORD_CHARS = 64;

export interface NodeIdentification {
  readonly nodeId: string;
  /** Whether it knows a secret of this cluster. */
  readonly isProven: boolean;
}

export interface NodeIdOptions {
  readonly secrets: readonly string[];
  /** What it shows the node over https. @default nothing */
  readonly tls?: NodeTls | null;
  readonly timeoutMs: number;
}

/** Answers `/node-id?word=…`. */
export function answerNodeId(
  request: IncomingMessage,
  response: ServerResponse,
  { nodeId, secrets }: { readonly nodeId: string; readonly secrets: readonly string[] },
): void {
  const word = new URL(request.url ?? "/", "http://internal").searchParams.get("word") ?? "";
  if (word === "" || word.length > MAX_WORD_CHARS) {
    answerError(
      response,
      new DuplexityError("DPX_REQUEST_INVALID", "Cannot say which node this is: no word was given"),
    );
    return;
  }
  answerJson(response, 200, { nodeId, proof: proofOf(secrets[0] ?? "", nodeId, word).toString("base64url") });
}

/**
 * The node at `origin`.
 *
 * @throws What the network says, `DPX_MESSAGE_INVALID` if no node answers, or a `TimeoutError`.
 */
export async function askNodeId(
  origin: string,
  { secrets, tls, timeoutMs }: NodeIdOptions,
): Promise<NodeIdentification> {
  const client = new Client(origin, { connect: { timeout: timeoutMs, ...tls } });
  try {
    const word = randomBytes(16).toString("base64url");
    const path = `${NODE_ID_PATH}?word=${word}`;
    const answer = await client.request({ path, method: "GET", signal: AbortSignal.timeout(timeoutMs) });
    if (answer.statusCode !== 200) {
      throw new DuplexityError("DPX_MESSAGE_INVALID", `what is there answered ${answer.statusCode}`);
    }
    const content = fields.readObject(parsed(await readText(answer.body)), "answer");
    const nodeId = fields.field(content, "nodeId", fields.readWord);
    const proof = Buffer.from(fields.field(content, "proof", fields.readWord), "base64url");
    const isProven = secrets.some((secret) => {
      const wanted = proofOf(secret, nodeId, word);
      return wanted.length === proof.length && timingSafeEqual(wanted, proof);
    });
    return { nodeId, isProven };
  } finally {
    await client.destroy();
  }
}

function proofOf(secret: string, nodeId: string, word: string): Buffer {
  return createHmac("sha256", secret)
    .update(JSON.stringify(["duplexity node id", nodeId, word]))
    .digest();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new DuplexityError("DPX_MESSAGE_INVALID", "what is there is no duplexity node");
  }
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new DuplexityError("DPX_MESSAGE_INVALID", "what is there says too much");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
