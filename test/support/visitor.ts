// The public side: requests as a browser, a script or an attacker sends them, to the server's public port.

import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { sha256 } from "./seeded.ts";
import type { Stage } from "./stage.ts";
import { forAtMost, within } from "./wait.ts";

export interface VisitOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | Buffer | Readable;
  readonly agent?: Agent;
  /** After which it is given up, on any machine. @default 30_000 */
  readonly limitMs?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request for `hostname` to the server at `port`, answered whole. Rejects when the answer is broken or late. */
export async function visit(port: number, hostname: string, path: string, options: VisitOptions = {}): Promise<Answer> {
  const response = await openVisit(port, hostname, path, options);
  const chunks: Buffer[] = [];
  const whole = (async () => {
    for await (const chunk of response) chunks.push(chunk);
  })();
  await forAtMost(whole, options.limitMs ?? 30_000, `the body of ${hostname}${path}`);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks).toString("utf8"),
  };
}

/** The same up to the answer's head: the body is still to be read. */
export async function openVisit(
  port: number,
  hostname: string,
  path: string,
  options: VisitOptions = {},
): Promise<IncomingMessage> {
  const request = httpRequest({
    host: "127.0.0.1",
    port,
    path,
    method: options.method ?? "GET",
    headers: { host: hostname, ...options.headers },
    agent: options.agent ?? false,
  });
  const { body } = options;
  if (body === undefined || typeof body === "string" || Buffer.isBuffer(body)) request.end(body);
  else body.pipe(request);
  const answered = once(request, "response") as Promise<[IncomingMessage]>;
  const waited = forAtMost(answered, options.limitMs ?? 30_000, `an answer to ${hostname}${path}`);
  const [response] = await waited.catch((error: unknown) => {
    // The other side may close an idle connection at the very moment at which it is used again (RFC 9112 §9.3.1).
    throw request.reusedSocket ? new Error(`On a reused connection: ${error}`, { cause: error }) : error;
  });
  return response;
}

/** Reads a body to its end without keeping it. */
export async function digestOf(response: IncomingMessage): Promise<{ bytes: number; sha256: string }> {
  const hash = sha256();
  let bytes = 0;
  for await (const chunk of response) {
    const data: Buffer = chunk;
    bytes += data.length;
    hash.update(data);
  }
  return { bytes, sha256: hash.digest("hex") };
}

export function keepAliveAgent(stage: Stage, maxSockets = 64): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets });
  stage.defer(() => agent.destroy());
  return agent;
}

/** A visitor's bare socket: writes bytes as they are, reads until a mark or the end. */
export class RawVisitor {
  readonly socket: Socket;
  /** Everything that came and was not read yet. */
  received = Buffer.alloc(0);
  hasEnded = false;
  error: Error | null = null;
  #wake: (() => void) | null = null;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.#wake?.();
    });
    socket.on("end", () => this.#ended());
    socket.on("close", () => this.#ended());
    socket.on("error", (error) => {
      this.error = error;
    });
  }

  static async open(stage: Stage, port: number): Promise<RawVisitor> {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    const visitor = new RawVisitor(socket);
    stage.defer(() => socket.destroy());
    await within(once(socket, "connect"), 5_000, `a connection to port ${port}`);
    return visitor;
  }

  write(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  end(): void {
    this.socket.end();
  }

  /** What came up to and with `mark`; what is behind it stays. */
  async readUntil(mark: string, limitMs = 10_000): Promise<string> {
    const found = (async () => {
      for (;;) {
        const at = this.received.indexOf(mark, 0, "latin1");
        if (at !== -1) return this.take(at + mark.length);
        if (this.hasEnded) throw new Error(`Ended before ${JSON.stringify(mark)}: ${this.#shown()}`);
        await this.#more();
      }
    })();
    return within(found, limitMs, `${JSON.stringify(mark)}, has ${this.#shown()}`);
  }

  /** Exactly `count` bytes. */
  async readBytes(count: number, limitMs = 10_000): Promise<string> {
    const found = (async () => {
      while (this.received.length < count) {
        if (this.hasEnded) throw new Error(`Ended before ${count} bytes: ${this.#shown()}`);
        await this.#more();
      }
      return this.take(count);
    })();
    return within(found, limitMs, `${count} bytes`);
  }

  /** What has come, at least one byte; empty at the connection's end. */
  async readSome(limitMs = 10_000): Promise<Buffer> {
    if (this.received.length === 0 && !this.hasEnded) await within(this.#more(), limitMs, "some bytes");
    const taken = this.received;
    this.received = Buffer.alloc(0);
    return taken;
  }

  /** All up to the connection's end. */
  async readAll(limitMs = 10_000): Promise<string> {
    const ended = (async () => {
      while (!this.hasEnded) await this.#more();
      return this.take(this.received.length);
    })();
    return within(ended, limitMs, `the connection's end, has ${this.#shown()}`);
  }

  take(count: number): string {
    const taken = this.received.subarray(0, count).toString("latin1");
    this.received = this.received.subarray(count);
    return taken;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #ended(): void {
    this.hasEnded = true;
    this.#wake?.();
  }

  #shown(): string {
    return JSON.stringify(this.received.subarray(0, 300).toString("latin1"));
  }
}
