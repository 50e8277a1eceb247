// A process that reads HTTP uploads to their end, throws the bytes away and answers 200 with how many there were.
// nginx can't: it either answers before it has read, or writes the body to a file.

import { createServer, type Socket } from "node:net";

function serve(socket: Socket): void {
  let head = "";
  let expected = -1;
  let received = 0;
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    let bodyBytes = chunk.length;
    if (expected === -1) {
      head += chunk.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end === -1) return;
      expected = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? "0");
      bodyBytes = head.length - end - 4;
      if (/^expect: *100-continue/im.test(head)) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    received += bodyBytes;
    if (received < expected) return;
    const answer = `${received}\n`;
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`);
    head = "";
    expected = -1;
    received = 0;
  });
}

const server = createServer(serve).listen(0, "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  console.log(JSON.stringify({ type: "listening", port }));
});
