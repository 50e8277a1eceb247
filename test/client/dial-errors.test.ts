import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import { request } from "undici";
import { describe, expect, it } from "vitest";
import { dialFailure, isFinal, longestWaitAfter, readRefusal, wasRefused } from "../../src/client/dial-errors.ts";
import { DuplexityError, ERRORS, type ErrorCode } from "../../src/protocol/index.ts";
import { useStage } from "../support/stage.ts";
import { startTcpOrigin } from "../support/tcp-origin.ts";
import { listen } from "./support.ts";

const stage = useStage();
const SERVER = "https://t.example";

function errno(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** A server's real answer to a request. */
async function answered(status: number, headers: Record<string, string>, body: string): Promise<IncomingMessage> {
  const server = createServer((_request, response) => response.writeHead(status, headers).end(body));
  const port = await listen(server);
  stage.defer(() => server.close());
  stage.defer(() => server.closeAllConnections());
  const [response] = await once(get({ host: "127.0.0.1", port }), "response");
  return response;
}

describe("dialFailure", () => {
  it.each([
    ["ECONNREFUSED", "nothing listens there (ECONNREFUSED)"],
    ["ENOTFOUND", "its name is not known (ENOTFOUND)"],
    ["ETIMEDOUT", "it did not answer in time (ETIMEDOUT)"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "its certificate is not trusted here (SELF_SIGNED_CERT_IN_CHAIN)"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "its certificate is not trusted here (ERR_TLS_CERT_ALTNAME_INVALID)"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "it does not speak TLS there (ERR_SSL_WRONG_VERSION_NUMBER)"],
    ["ECONNRESET", "it closed the connection without an answer (ECONNRESET)"],
    ["UND_ERR_SOCKET", "it closed the connection without an answer (ECONNRESET)"],
    ["HPE_INVALID_CONSTANT", "what answers there is not a duplexity server, nor HTTP at all"],
    ["EHOSTUNREACH", "EHOSTUNREACH"],
  ])("%s: %s", (code, why) => {
    const cause = errno(code);
    const error = dialFailure(SERVER, cause);
    expect(error).toMatchObject({ code: "DPX_SERVER_UNREACHABLE", message: `Cannot reach ${SERVER}: ${why}`, cause });
  });

  it.each<[string, (port: number) => Promise<unknown>]>([
    ["up's socket", (port) => once(get({ host: "127.0.0.1", port }), "response")],
    ["list's request", (port) => request(`http://127.0.0.1:${port}`)],
  ])("says of a port that speaks no HTTP what it is, for %s", async (_what, dial) => {
    const { port } = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.end("SSH-2.0-OpenSSH_9.9\r\n"));
    });
    const error = dialFailure(SERVER, await dial(port).catch((reason: unknown) => reason));
    expect(error).toMatchObject({
      message: `Cannot reach ${SERVER}: what answers there is not a duplexity server, nor HTTP at all`,
      hint: "Check the port: is it another program's?",
    });
  });

  it.each([1, 22, 6000])("says of port %d that HTTP clients do not go there", async (port) => {
    const error = dialFailure(SERVER, await fetch(`http://127.0.0.1:${port}`).catch((reason: unknown) => reason));
    expect(error).toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: `Cannot reach ${SERVER}: its port is kept for another protocol, and HTTP clients refuse it`,
      hint: "Let the server listen on another port, such as 8080.",
    });
  });

  it("tells a wait that was over as one", () => {
    const { message } = dialFailure(SERVER, new DOMException("aborted", "TimeoutError"));
    expect(message).toBe(`Cannot reach ${SERVER}: it did not answer in time`);
  });

  it("leaves a DuplexityError as it is", () => {
    const error = new DuplexityError("DPX_NAME_TAKEN", "x");
    expect(dialFailure(SERVER, error)).toBe(error);
  });
});

describe("wasRefused", () => {
  it("looks into causes and into attempts on several addresses", () => {
    expect(wasRefused(dialFailure(SERVER, errno("ECONNREFUSED")))).toBe(true);
    expect(wasRefused(new AggregateError([errno("ETIMEDOUT"), errno("ECONNREFUSED")]))).toBe(true);
    expect(wasRefused(errno("ECONNRESET"))).toBe(false);
    expect(wasRefused("ECONNREFUSED")).toBe(false);
  });
});

describe("longestWaitAfter", () => {
  it("is short where nobody listens or a moment mends it, and long for all else", () => {
    expect(longestWaitAfter(dialFailure(SERVER, errno("ECONNREFUSED")))).toBe(2_000);
    expect(longestWaitAfter(new DuplexityError("DPX_STORE", "x"))).toBe(5_000);
    expect(longestWaitAfter(new DuplexityError("DPX_DRAINING", "x"))).toBe(5_000);
    expect(longestWaitAfter(new DuplexityError("DPX_RATE_LIMIT", "x"))).toBe(30_000);
    expect(longestWaitAfter(dialFailure(SERVER, errno("ETIMEDOUT")))).toBe(30_000);
  });
});

describe("isFinal", () => {
  it("never holds for what may pass by itself", () => {
    const finals = (Object.keys(ERRORS) as ErrorCode[]).filter(isFinal);
    expect(finals.filter((code) => ERRORS[code].retryable)).toEqual([]);
    expect(finals).toContain("DPX_REPLACED");
  });
});

describe("readRefusal", () => {
  it("reads code, message and hint", async () => {
    const body = JSON.stringify({ error: { code: "DPX_AUTH_INVALID", message: "wrong", hint: "sign in" } });
    expect(await readRefusal(SERVER, await answered(401, {}, body))).toMatchObject({
      ...{ code: "DPX_AUTH_INVALID", message: "wrong", hint: "sign in" },
    });
  });

  it("lets no control character of a server reach a terminal", async () => {
    const body = JSON.stringify({ error: { code: "DPX_FORBIDDEN", message: "a\u001b[2Jb\r\nc" } });
    expect((await readRefusal(SERVER, await answered(403, {}, body))).message).toBe("a [2Jb  c");
  });

  it.each([
    "",
    "<html>",
    "null",
    "[]",
    '{"error":7}',
    '{"error":{"code":"DPX_WHAT","message":"x"}}',
    "x".repeat(200_000),
  ])("falls back to the header on a body that is not ours (%#)", async (body) => {
    const response = await answered(429, { "duplexity-error": "DPX_CLIENTS_LIMIT" }, body);
    expect(await readRefusal(SERVER, response)).toMatchObject({
      code: "DPX_CLIENTS_LIMIT",
      message: `${SERVER} answered 429 (DPX_CLIENTS_LIMIT)`,
    });
  });

  it.each([
    // Never a final code: the portal of a café must not end a tunnel that was up.
    [401, {}, "Something in front of the server asks for a sign-in."],
    [403, {}, "Something in front of the server refuses the request."],
    [301, { location: "https://x/" }, "It points to https://x/: use that as the server."],
    [404, {}, "Is that the server's own address, and not one of a pipe?"],
    [502, {}, undefined],
  ])("makes what it can of a bare %i", async (status, headers, hint) => {
    const error = await readRefusal(SERVER, await answered(status, headers, ""));
    expect(error).toMatchObject({
      code: "DPX_SERVER_UNREACHABLE",
      message: `Cannot reach a duplexity server at ${SERVER}: it answered ${status}`,
    });
    expect(error.hint).toBe(hint);
  });
});
