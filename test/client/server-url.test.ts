import { describe, expect, it } from "vitest";
import { controlUrl, dialerUrl, isLoopbackAddress, shownServer } from "../../src/client/server-url.ts";

describe("controlUrl", () => {
  it.each([
    ["https://tunnel.example.com", "wss://tunnel.example.com/control"],
    ["http://127.0.0.1:8080/", "ws://127.0.0.1:8080/control"],
    ["tunnel.example.com", "wss://tunnel.example.com/control"],
    ["tunnel.example.com:8443", "wss://tunnel.example.com:8443/control"],
    ["localhost:8080", "ws://localhost:8080/control"],
    ["[::1]:8080", "ws://[::1]:8080/control"],
    ["wss://t.example", "wss://t.example/control"],
  ])("%s leads to %s", (server, url) => {
    expect(controlUrl(server).href).toBe(url);
  });

  it.each([
    ["", "it is not a URL"],
    ["ftp://x", '"ftp://" is not http:// or https://'],
    ["https://x/y", "it has a path"],
    ["https://a:b@x", "it has a user or a password"],
    ["http://", "it is not a URL"],
  ])("refuses %j: %s", (server, why) => {
    expect(() => controlUrl(server)).toThrow(
      expect.objectContaining({ code: "DPX_USAGE", message: expect.stringContaining(why) }),
    );
  });

  it("never repeats a password", () => {
    expect(() => controlUrl("https://a:hunter2@x")).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining("hunter2") }),
    );
  });
});

describe("dialerUrl", () => {
  it("refuses a data plane without TLS when control had it", () => {
    const control = controlUrl("https://t.example");
    expect(dialerUrl(control, "wss://d.example/dialer").href).toBe("wss://d.example/dialer");
    expect(() => dialerUrl(control, "ws://t.example/dialer")).toThrow(
      expect.objectContaining({ code: "DPX_PROTOCOL" }),
    );
    expect(dialerUrl(controlUrl("http://h:1"), "ws://h:1/dialer").href).toBe("ws://h:1/dialer");
  });
});

describe("isLoopbackAddress", () => {
  it.each(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])("%s is", (address) => {
    expect(isLoopbackAddress(address)).toBe(true);
  });
  it.each(["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "1127.0.0.1", undefined])("%s is not", (address) => {
    expect(isLoopbackAddress(address)).toBe(false);
  });
});

describe("shownServer", () => {
  it("is what a person typed", () => {
    expect(shownServer(controlUrl("https://t.example"))).toBe("https://t.example");
    expect(shownServer(controlUrl("localhost:1"))).toBe("http://localhost:1");
  });
});
