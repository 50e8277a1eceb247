import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { errorOfClose } from "../../src/protocol/close-reason.ts";
import { LINK_HEADROOM_BYTES } from "../../src/protocol/limits.ts";
import { WebSocketConnection, type WebSocketHandler } from "../../src/protocol/websocket-connection.ts";
import { acceptUpgrade, dialUpgrade } from "../../src/protocol/websocket-handshake.ts";

const LIMITS = { maxMessageBytes: 1_000_000, maxTextBytes: 1_000 };

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

class Inbox implements WebSocketHandler {
  readonly texts: string[] = [];
  readonly binaries: Buffer[] = [];
  closed: { code: number; reason: string } | null = null;
  #changed: () => void = () => {};
  onText(text: string): void {
    this.texts.push(text);
    this.#changed();
  }
  onBinary(message: Buffer, rest: readonly Buffer[]): void {
    this.binaries.push(Buffer.concat([message, ...rest]));
    this.#changed();
  }
  onDrain(): void {}
  onClose(code: number, reason: string): void {
    this.closed = { code, reason };
    this.#changed();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#changed = resolve));
  }
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Our server side with a peer of the package `ws`. */
async function withWsClient(): Promise<{ connection: WebSocketConnection; inbox: Inbox; peer: WebSocket }> {
  const server = createServer();
  const port = await listen(server);
  const inbox = new Inbox();
  const accepted = new Promise<WebSocketConnection>((resolve) => {
    server.on("upgrade", (request, socket, head) => {
      acceptUpgrade(request, socket);
      const connection = new WebSocketConnection(socket as Socket, { role: "server", head, ...LIMITS });
      connection.handler = inbox;
      resolve(connection);
    });
  });
  const peer = new WebSocket(`ws://127.0.0.1:${port}/`, "duplexity.v1", { perMessageDeflate: false });
  peer.on("error", () => {});
  await once(peer, "open");
  cleanups.push(() => peer.terminate());
  return { connection: await accepted, inbox, peer };
}

/** Our client side with a peer of the package `ws`. */
async function withWsServer(mask: "zero" | "random") {
  const server = createServer();
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, maxPayload: 1_000_000 });
  const port = await listen(server);
  const connected = once(sockets, "connection");
  const result = await dialUpgrade(`ws://127.0.0.1:${port}/`, { headers: {} });
  if (result.status !== "upgraded") throw new Error("refused");
  const inbox = new Inbox();
  const connection = new WebSocketConnection(result.socket, { role: "client", mask, head: result.head, ...LIMITS });
  connection.handler = inbox;
  const [peer] = (await connected) as [WebSocket];
  cleanups.push(() => peer.terminate());
  return { connection, inbox, peer };
}

/** Our server side with a peer that writes bytes. */
async function withRawPeer(): Promise<{ connection: WebSocketConnection; inbox: Inbox; peer: Socket }> {
  const inbox = new Inbox();
  const server = createTcpServer();
  const port = await listen(server);
  const connected = once(server, "connection");
  const peer = connect(port, "127.0.0.1");
  peer.on("error", () => {});
  cleanups.push(() => peer.destroy());
  const [socket] = (await connected) as [Socket];
  const connection = new WebSocketConnection(socket, { role: "server", ...LIMITS });
  connection.handler = inbox;
  return { connection, inbox, peer };
}

function packetOf(content: Buffer, parts: number): Buffer[] {
  const whole = Buffer.concat([Buffer.alloc(LINK_HEADROOM_BYTES), content]);
  const cut = LINK_HEADROOM_BYTES + Math.floor(content.length / parts);
  return parts === 1 ? [whole] : [whole.subarray(0, cut), whole.subarray(cut)];
}

const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000];

describe("WebSocketConnection", () => {
  it.each(["zero", "random"] as const)("sends messages of all length forms to a server, mask %s", async (mask) => {
    const { connection, peer } = await withWsServer(mask);
    for (const size of SIZES) {
      for (const parts of [1, 2]) {
        const content = Buffer.alloc(size, "duplexity");
        const arrived = once(peer, "message");
        connection.sendBinary(packetOf(content, parts), size);
        const [message, isBinary] = (await arrived) as [Buffer, boolean];
        expect(isBinary).toBe(true);
        expect(message.equals(content)).toBe(true);
      }
    }
  });

  it("leaves a sent packet as it was but for its headroom", async () => {
    const { connection, peer } = await withWsServer("random");
    const content = Buffer.alloc(1_000, "x");
    const [part] = packetOf(content, 1);
    if (part === undefined) throw new Error("no part");
    const arrived = once(peer, "message");
    connection.sendBinary([part], content.length);
    await arrived;
    expect(part.subarray(LINK_HEADROOM_BYTES).equals(content)).toBe(true);
  });

  it("receives messages of all length forms from a client that masks, also in fragments", async () => {
    const { inbox, peer } = await withWsClient();
    for (const size of SIZES) peer.send(Buffer.alloc(size, "kitten"));
    await inbox.until(() => inbox.binaries.length === SIZES.length);
    for (const [index, size] of SIZES.entries()) {
      expect(inbox.binaries[index]?.equals(Buffer.alloc(size, "kitten"))).toBe(true);
    }
    peer.send(Buffer.from("one "), { fin: false });
    peer.ping();
    peer.send(Buffer.from("two "), { fin: false });
    peer.send(Buffer.from("three"), { fin: true });
    await inbox.until(() => inbox.binaries.length === SIZES.length + 1);
    expect(inbox.binaries.at(-1)?.toString()).toBe("one two three");
  });

  it("sends texts, answers pings, and tells a close with its code and reason", async () => {
    const { connection, inbox, peer } = await withWsClient();
    const text = once(peer, "message");
    connection.sendText("grüß dich");
    expect(String((await text)[0])).toBe("grüß dich");
    const pong = once(peer, "pong");
    peer.ping("are you there");
    expect(String((await pong)[0])).toBe("are you there");
    peer.send("hello");
    await inbox.until(() => inbox.texts.length === 1);
    peer.close(4409, "DPX_REPLACED: gone");
    await inbox.until(() => inbox.closed !== null);
    expect(inbox.closed).toEqual({ code: 4409, reason: "DPX_REPLACED: gone" });
  });

  it("closes with a code that the peer sees", async () => {
    const { connection, peer } = await withWsClient();
    const closed = once(peer, "close");
    connection.close(4403, "DPX_KICKED: enough");
    const [code, reason] = await closed;
    expect([code, String(reason)]).toEqual([4403, "DPX_KICKED: enough"]);
  });

  it("takes bytes in any pieces", async () => {
    const { inbox, peer } = await withRawPeer();
    // RFC 6455 §5.7: a masked text "Hello", here cut after each byte.
    for (const byte of Buffer.from("818537fa213d7f9f4d5158", "hex")) {
      peer.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await inbox.until(() => inbox.texts.length === 1);
    expect(inbox.texts).toEqual(["Hello"]);
  });

  it("takes a long message byte by byte without spending time on each", () => {
    const socket = new Socket();
    cleanups.push(() => socket.destroy());
    const inbox = new Inbox();
    const connection = new WebSocketConnection(socket, { role: "client", ...LIMITS });
    connection.handler = inbox;
    const message = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
    const header = Buffer.from("827f00000000000493e0", "hex");
    for (const byte of Buffer.concat([header, message])) socket.emit("data", Buffer.of(byte));
    // A queue of as many chunks takes minutes to be shifted through.
    expect(inbox.binaries.map((binary) => binary.equals(message))).toEqual([true]);
  });

  it("gives 1006 when the connection breaks", async () => {
    const { inbox, peer } = await withRawPeer();
    peer.destroy();
    await inbox.until(() => inbox.closed !== null);
    expect(inbox.closed?.code).toBe(1006);
  });

  const mask = "00000000";
  it.each([
    ["a frame without a mask", "820161", 1002],
    ["RSV bits", `c281${mask}61`, 1002],
    ["an unknown opcode", `8381${mask}61`, 1002],
    ["a continuation of nothing", `8081${mask}61`, 1002],
    ["a message inside a message", `0281${mask}61` + `8281${mask}61`, 1002],
    ["a ping in fragments", `0981${mask}61`, 1002],
    ["a ping of 126 bytes", `89fe007e${mask}`, 1002],
    ["a close frame with half a code", `8881${mask}03`, 1002],
    ["a message over the limit", `82ff0000000000100000${mask}`, 1009, "DPX_PACKET_TOO_LARGE"],
    ["a length of 2^32", `82ff0000000100000000${mask}`, 1009, "DPX_PACKET_TOO_LARGE"],
    ["a text over the limit", `81fe0400${mask}`, 1009, "DPX_MESSAGE_TOO_LARGE"],
    [
      "fragments over the limit",
      `02ff00000000000f4000${mask}${"00".repeat(999_424)}` + `80fe1000${mask}`,
      1009,
      "DPX_PACKET_TOO_LARGE",
    ],
  ])("fails on %s", async (_what, hex, code, named = "DPX_LINK_LOST") => {
    const { inbox, peer } = await withRawPeer();
    const received: Buffer[] = [];
    peer.on("data", (chunk) => received.push(chunk));
    peer.write(Buffer.from(hex, "hex"));
    await inbox.until(() => inbox.closed !== null);
    await once(peer, "end");
    expect(inbox.closed?.code).toBe(code);
    const frame = Buffer.concat(received);
    expect([frame[0], frame.readUInt16BE(2)]).toEqual([0x88, code]);
    expect(errorOfClose(code, frame.toString("utf8", 4)).code).toBe(named);
    expect(inbox.binaries).toEqual([]);
  });
});

describe("dialUpgrade", () => {
  it("gives back an answer that is not an upgrade", async () => {
    const server = createServer((_request, response) => response.writeHead(401).end("no"));
    const port = await listen(server);
    const result = await dialUpgrade(`ws://127.0.0.1:${port}/`, { headers: {} });
    expect(result.status === "refused" && result.response.statusCode).toBe(401);
    if (result.status === "refused") result.response.resume();
  });

  it("refuses an answer with another key", async () => {
    const server = createServer();
    server.on("upgrade", (_request, socket) => {
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\nSec-WebSocket-Protocol: duplexity.v1\r\n\r\n",
      );
    });
    const port = await listen(server);
    await expect(dialUpgrade(`ws://127.0.0.1:${port}/`, { headers: {} })).rejects.toMatchObject({
      code: "DPX_PROTOCOL",
    });
  });
});
