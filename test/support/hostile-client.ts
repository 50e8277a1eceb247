// A client that comes in properly and then sends what it likes. Written against docs/protocol.md, apart from the
// product's own client, so that a misreading there does not hide here.

import { once } from "node:events";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { WebSocket } from "ws";
import { isObject } from "./lines.ts";
import { within } from "./wait.ts";

interface Identity {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

async function createIdentity(): Promise<Identity> {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
  return { privateKey, jwk: await exportJWK(publicKey) };
}

async function proofFor(identity: Identity, url: string): Promise<string> {
  const { host, pathname } = new URL(url);
  const token = new SignJWT({ htm: "GET", htu: `${host}${pathname}`, jti: crypto.randomUUID() });
  const signed = await token
    .setProtectedHeader({ alg: "EdDSA", typ: "dpop+jwt", jwk: identity.jwk })
    .setIssuedAt()
    .sign(identity.privateKey);
  return `DPoP ${signed}`;
}

/** A control socket takes 32 messages at once and 4 a second; each dial takes one. */
const DIALS_PER_CONTROL = 24;

export interface HostileLink {
  readonly socket: WebSocket;
  /** The session that the server began on this link. */
  readonly session: number;
  /** Which RESUME of the session that was. */
  readonly resumes: number;
  /** Every packet that the server sent. */
  readonly packets: Buffer[];
  /** Close code, once closed. */
  readonly closed: Promise<number>;
}

export class HostileClient {
  readonly clientId = crypto.randomUUID();
  readonly #server: string;
  readonly #name: string;
  readonly #identity: Identity;
  #control: WebSocket | null = null;
  #dialsLeft = 0;

  constructor(server: string, name: string, identity: Identity) {
    this.#server = server.replace(/^http/, "ws");
    this.#name = name;
    this.#identity = identity;
  }

  static async create(server: string, name: string): Promise<HostileClient> {
    return new HostileClient(server, name, await createIdentity());
  }

  /** An open `/control`, authenticated. */
  async openControl(): Promise<WebSocket> {
    return this.#open(`${this.#server}/control`, {});
  }

  /**
   * A dialer on which the session has begun: the server's RESUME has come, ours has not been sent.
   *
   * @param early Packets to send right behind the dialRequest.
   */
  async dial(early: readonly Buffer[] = []): Promise<HostileLink> {
    const control = await this.#freshControl();
    const discovered = answerOf(control, "discoveryResponse");
    control.send(
      JSON.stringify({
        type: "discoveryRequest",
        clientId: this.clientId,
        protocolVersions: [1],
        software: "hostile/1",
        features: [],
      }),
    );
    const { dataPlaneUri, ticket } = await within(discovered, 10_000, "discoveryResponse");
    const socket = await this.#open(String(dataPlaneUri), { "duplexity-ticket": String(ticket) });
    const packets: Buffer[] = [];
    let resumes = 0;
    const begun = new Promise<number>((resolve) => {
      socket.on("message", (data: Buffer, isBinary: boolean) => {
        if (!isBinary) return;
        if (packets.length < 64) packets.push(data);
        if (data[0] !== 3) return;
        resumes = data.readUInt32BE(20);
        resolve(data.readUIntBE(2, 6));
      });
    });
    const closed = once(socket, "close").then(([code]) => Number(code));
    const registered = answerOf(control, "pipesAreRegisteredResponse");
    socket.send(
      JSON.stringify({
        type: "dialRequest",
        clientId: this.clientId,
        pipes: [{ name: this.#name, protocol: "http" }],
        wants: [],
      }),
    );
    for (const packet of early) socket.send(packet);
    await within(Promise.race([registered, closed]), 10_000, "pipesAreRegisteredResponse");
    const session = await within(Promise.race([begun, closed.then(() => -1)]), 10_000, "the session's first packet");
    return { socket, session, resumes, packets, closed };
  }

  close(): void {
    this.#control?.terminate();
  }

  async #freshControl(): Promise<WebSocket> {
    if (this.#control?.readyState !== WebSocket.OPEN || this.#dialsLeft === 0) {
      this.#control?.terminate();
      this.#control = await this.openControl();
      this.#dialsLeft = DIALS_PER_CONTROL;
    }
    this.#dialsLeft -= 1;
    return this.#control;
  }

  async #open(url: string, headers: Record<string, string>): Promise<WebSocket> {
    const socket = new WebSocket(url, ["duplexity.v1"], {
      headers: { authorization: await proofFor(this.#identity, url), ...headers },
      perMessageDeflate: false,
    });
    socket.on("error", () => {});
    const opened = new Promise<void>((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("close", (code) => reject(new Error(`${url} was refused (${code})`)));
    });
    await within(opened, 10_000, `${url} to open`);
    return socket;
  }
}

/** The next message of `type`; rejects when the socket closes or an error message comes first. */
function answerOf(socket: WebSocket, type: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const done = (finish: () => void) => {
      socket.off("message", onMessage);
      socket.off("close", onClose);
      finish();
    };
    const onMessage = (data: Buffer) => {
      const message: unknown = JSON.parse(String(data));
      if (!isObject(message)) return;
      if (message.type === type) done(() => resolve(message));
      if (message.type === "error") done(() => reject(new Error(`Refused: ${String(data)}`)));
    };
    const onClose = (code: number) => done(() => reject(new Error(`Closed with ${code} before ${type}`)));
    socket.on("message", onMessage);
    socket.on("close", onClose);
  });
}
