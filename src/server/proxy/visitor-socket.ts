// Ties a socket to its connection by a property and shared listeners, so that a new visitor costs no closures.

import type { VisitorSocket } from "./options.ts";

/** What a socket tells its connection. */
export interface SocketListener {
  onData(chunk: Buffer): void;
  onEnd(): void;
  onDrain(): void;
  /** The socket is closed, for whatever reason. */
  onClose(): void;
}

const LISTENER = Symbol("duplexity.visitor");

type TiedSocket = VisitorSocket & { [LISTENER]?: SocketListener | undefined };

/** Begins to pass the socket's events to `listener`. */
export function attachVisitor(socket: TiedSocket, listener: SocketListener): void {
  socket[LISTENER] = listener;
  socket.on("end", onEnd);
  socket.on("drain", onDrain);
  socket.on("error", onError);
  socket.on("close", onClose);
  socket.on("data", onData);
}

/** Takes all listeners off again. The socket is as it was, but for what was read. */
export function detachVisitor(socket: TiedSocket): void {
  socket[LISTENER] = undefined;
  socket.off("data", onData);
  socket.off("end", onEnd);
  socket.off("drain", onDrain);
  socket.off("error", onError);
  socket.off("close", onClose);
}

function onData(this: TiedSocket, chunk: Buffer): void {
  this[LISTENER]?.onData(chunk);
}

function onEnd(this: TiedSocket): void {
  this[LISTENER]?.onEnd();
}

function onDrain(this: TiedSocket): void {
  this[LISTENER]?.onDrain();
}

/** A visitor that resets is everyday; `close` follows and does what is needed. */
function onError(): void {}

function onClose(this: TiedSocket): void {
  this[LISTENER]?.onClose();
}
