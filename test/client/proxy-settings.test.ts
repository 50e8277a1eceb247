import { describe, expect, it } from "vitest";
import { proxyFor } from "../../src/client/proxy-settings.ts";

const PLAIN = new URL("ws://tunnel.example.com/control");
const SECURE = new URL("wss://tunnel.example.com/control");

describe("proxyFor", () => {
  it("takes HTTP_PROXY for http, HTTPS_PROXY for https, lower case first", () => {
    const env = { HTTP_PROXY: "http://a:1", HTTPS_PROXY: "http://b:2", https_proxy: "http://c:3" };
    expect(proxyFor(PLAIN, env)?.host).toBe("a:1");
    expect(proxyFor(SECURE, env)?.host).toBe("c:3");
    expect(proxyFor(PLAIN, { HTTPS_PROXY: "http://b:2" })).toBeNull();
    expect(proxyFor(PLAIN, {})).toBeNull();
    expect(proxyFor(PLAIN, { http_proxy: "proxy:3128" })?.href).toBe("http://proxy:3128/");
  });

  it.each([
    ["*", true],
    ["tunnel.example.com", true],
    ["example.com", true],
    [".example.com", true],
    ["*.example.com", true],
    ["TUNNEL.example.com:80", true],
    ["other.test, example.com", true],
    ["tunnel.example.com:8080", false],
    ["ample.com", false],
    ["example.com.evil", false],
    ["", false],
  ])("with NO_PROXY=%s, the exception holds: %s", (noProxy, isExcepted) => {
    expect(proxyFor(PLAIN, { http_proxy: "http://p:1", NO_PROXY: noProxy }) === null).toBe(isExcepted);
  });

  it("knows addresses, too", () => {
    expect(proxyFor(new URL("ws://[::1]:80/control"), { http_proxy: "http://p:1", no_proxy: "[::1]" })).toBeNull();
    expect(
      proxyFor(new URL("ws://127.0.0.1:8/control"), { http_proxy: "http://p:1", no_proxy: "127.0.0.1:8" }),
    ).toBeNull();
  });

  it("refuses what is no HTTP proxy, without repeating it", () => {
    const env = { HTTPS_PROXY: "socks5://user:hunter2@x:1" };
    expect(() => proxyFor(SECURE, env)).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", message: "Cannot use HTTPS_PROXY: it is not http://host:port" }),
    );
  });
});
