import { describe, expect, it } from "vitest";
import { type AnswerForwarding, bodyPassing, buildResponseHead } from "../../src/http/index.ts";
import { ok, response } from "./read.ts";

const KEPT: AnswerForwarding = { keepAlive: true, version: 1 };
const CLOSED: AnswerForwarding = { keepAlive: false, version: 1 };
const OLD: AnswerForwarding = { keepAlive: true, version: 0 };

describe("buildResponseHead", () => {
  it("passes fields on and takes hop-by-hop fields off (RFC 9110 §7.6.1)", () => {
    const head = response(
      ok(
        "Connection: keep-alive, X-One",
        "Keep-Alive: timeout=5",
        "Date: now",
        "X-One: 1",
        "Content-Length: 5",
        "Proxy-Authenticate: Basic",
        "Proxy-Status: x; error=y",
        "Upgrade: h2",
        "Set-Cookie: a",
        "Set-Cookie: b",
      ),
    );
    expect(buildResponseHead(head, KEPT)).toBe(
      ok("Date: now", "Proxy-Status: x; error=y", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 5"),
    );
  });

  it("says close when we close", () => {
    expect(buildResponseHead(response(ok("Content-Length: 5")), CLOSED)).toBe(
      ok("Content-Length: 5", "Connection: close"),
    );
  });

  it("says keep-alive to an HTTP/1.0 visitor", () => {
    expect(buildResponseHead(response(ok("Content-Length: 5")), OLD)).toBe(
      ok("Content-Length: 5", "Connection: keep-alive"),
    );
  });

  it("keeps no connection after a body that ends by close", () => {
    const head = response(ok("Date: now"));
    expect(buildResponseHead(head, KEPT)).toBe(ok("Date: now", "Connection: close"));
    expect([bodyPassing(head, 1), bodyPassing(head, 0)]).toEqual(["until-close", "until-close"]);
  });

  it("passes chunked on raw, but takes it off for HTTP/1.0", () => {
    const head = response(ok("transfer-encoding: Chunked"));
    expect(buildResponseHead(head, KEPT)).toBe(ok("Transfer-Encoding: chunked"));
    expect(buildResponseHead(head, OLD)).toBe(ok("Connection: close"));
    expect([bodyPassing(head, 1), bodyPassing(head, 0)]).toEqual(["raw", "dechunk"]);
  });

  it("keeps in an answer to HEAD what the full answer would have", () => {
    const context = { method: "HEAD", upgrade: null };
    const chunked = response(ok("Transfer-Encoding: chunked"), context);
    expect(buildResponseHead(response(ok("Content-Length: 5"), context), KEPT)).toBe(ok("Content-Length: 5"));
    expect(buildResponseHead(chunked, KEPT)).toBe(ok("Transfer-Encoding: chunked"));
    expect(buildResponseHead(chunked, OLD)).toBe(ok("Connection: keep-alive"));
    expect(bodyPassing(chunked, 1)).toBe("none");
  });

  it("sends a 204 without Content-Length (RFC 9110 §8.6)", () => {
    const head = response("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    expect(buildResponseHead(head, KEPT)).toBe("HTTP/1.1 204 No Content\r\n\r\n");
  });

  it("answers as HTTP/1.1 for an HTTP/1.0 target, with a reason phrase's space (RFC 9112 §4)", () => {
    const head = response("HTTP/1.0 200\r\nContent-Length: 5\r\n\r\n");
    expect(buildResponseHead(head, KEPT)).toBe("HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n");
  });

  it("passes interim answers on without a word about the connection", () => {
    const head = response("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: close\r\n\r\n");
    expect(buildResponseHead(head, CLOSED)).toBe("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    expect(buildResponseHead(response("HTTP/1.1 100 Continue\r\n\r\n"), KEPT)).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  });

  it("passes a 101 on with its upgrade", () => {
    const text = "HTTP/1.1 101 Switching Protocols\r\nX: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const head = response(text, { method: "GET", upgrade: "websocket" });
    expect(buildResponseHead(head, CLOSED)).toBe(text);
  });

  it("passes on what a 426 asks to upgrade to (RFC 9110 §15.5.22)", () => {
    const text = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: a/2\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n";
    expect(buildResponseHead(response(text), KEPT)).toContain("Connection: Upgrade\r\nUpgrade: a/2\r\n\r\n");
    expect(buildResponseHead(response(text), CLOSED)).toContain("Connection: close, Upgrade\r\nUpgrade: a/2\r\n\r\n");
  });
});
