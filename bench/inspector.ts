// Node's inspector from outside: collects a process's garbage and reads its heap, so that memory figures mean something.

import { once } from "node:events";
import { WebSocket } from "ws";

export interface Inspector {
  /** Collects all garbage; answers the bytes of JavaScript heap and of buffers in use. */
  collect(): Promise<number>;
  close(): void;
}

/** Connects to a process started with `--inspect=127.0.0.1:port`. */
export async function openInspector(port: number): Promise<Inspector> {
  const targets: unknown = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
  const first: unknown = Array.isArray(targets) ? targets[0] : undefined;
  const url =
    typeof first === "object" && first !== null && "webSocketDebuggerUrl" in first ? first.webSocketDebuggerUrl : "";
  const socket = new WebSocket(String(url));
  await once(socket, "open");
  let lastId = 0;

  async function call(method: string, params: object): Promise<string> {
    lastId += 1;
    const id = lastId;
    socket.send(JSON.stringify({ id, method, params }));
    for (;;) {
      const [message] = await once(socket, "message");
      const text = String(message);
      if (text.startsWith(`{"id":${id},`)) return text;
    }
  }

  return {
    async collect() {
      // Twice: what a first collection finalizes, a second one frees.
      await call("HeapProfiler.collectGarbage", {});
      await call("HeapProfiler.collectGarbage", {});
      const expression = "(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())";
      const answer = await call("Runtime.evaluate", { expression, returnByValue: true });
      return Number(/"value":([\d.e+]+)/.exec(answer)?.[1]);
    },
    close: () => socket.terminate(),
  };
}
