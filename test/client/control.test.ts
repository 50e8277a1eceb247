// What the client's end of a control socket tells the hub when it cannot go on.

import { createServer } from "node:http";
import { describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { dialControl } from "../../src/client/control.ts";
import { SUBPROTOCOL } from "../../src/protocol/index.ts";
import { closeWithSockets, listen } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";

describe("Control", () => {
  const stage = useStage();

  it("closes with the reason when a message of the hub has more than 64 KiB", async () => {
    const server = createServer();
    closeWithSockets(stage, server);
    const hub = new WebSocketServer({ server, handleProtocols: () => SUBPROTOCOL });
    const port = await listen(server);
    const closed = new Promise<readonly [number, string]>((resolve) => {
      hub.once("connection", (socket) => {
        socket.once("close", (code, reason) => resolve([code, reason.toString("utf8")]));
        socket.send("x".repeat(65_537));
      });
    });
    const nothing = (): void => {};
    await dialControl({
      ...{ url: new URL(`ws://127.0.0.1:${port}`), authorization: "Bearer x", timeoutMs: 5_000 },
      handler: { onRegistered: nothing, onForceDisconnect: nothing, onDrain: nothing, onClose: nothing },
      signal: new AbortController().signal,
    });
    expect(await closed).toEqual([1009, "DPX_MESSAGE_TOO_LARGE: A message has at most 65536 bytes"]);
  });
});
