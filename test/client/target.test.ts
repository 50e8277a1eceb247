import { describe, expect, it } from "vitest";
import { parseTarget } from "../../src/client/index.ts";
import { DuplexityError } from "../../src/protocol/index.ts";

function refusal(value: string | number): DuplexityError {
  try {
    parseTarget(value);
  } catch (error) {
    if (error instanceof DuplexityError) return error;
  }
  throw new Error(`${value} was taken`);
}

describe("parseTarget", () => {
  it.each([
    [9090, "http://localhost:9090"],
    ["9090", "http://localhost:9090"],
    [" 9090 ", "http://localhost:9090"],
    ["localhost:9090", "http://localhost:9090"],
    ["LOCALHOST:9090", "http://localhost:9090"],
    ["127.0.0.1:80", "http://127.0.0.1:80"],
    ["[::1]:80", "http://[::1]:80"],
    ["http://[::1]", "http://[::1]:80"],
    ["http://localhost:9090", "http://localhost:9090"],
    ["http://localhost:9090/", "http://localhost:9090"],
    ["HTTP://web", "http://web:80"],
    ["http://my_container:8080", "http://my_container:8080"],
    ["http://example.com.", "http://example.com:80"],
    ["http://münchen.example", "http://xn--mnchen-3ya.example:80"],
    ["https://app.test", "https://app.test:443"],
    ["https+insecure://localhost:8443", "https+insecure://localhost:8443"],
    ["tcp://localhost:5432", "tcp://localhost:5432"],
    ["tcp://[fe80::1%eth0]:22", "tcp://[fe80::1%eth0]:22"],
    ["unix:/run/app.sock", "unix:/run/app.sock"],
    ["unix:///run/app.sock", "unix:/run/app.sock"],
  ])("reads %j as %s", (value, text) => {
    expect(parseTarget(value).text).toBe(text);
    // The canonical form is a target itself, and canonical.
    expect(parseTarget(text).text).toBe(text);
  });

  it("tells protocol, address and TLS apart", () => {
    expect(parseTarget("https+insecure://h:1")).toEqual({
      protocol: "http",
      tls: "insecure",
      address: { kind: "host", host: "h", port: 1 },
      text: "https+insecure://h:1",
    });
    expect(parseTarget("tcp://[::1]:22")).toMatchObject({
      protocol: "tcp",
      tls: "none",
      address: { kind: "host", host: "::1", port: 22 },
    });
    expect(parseTarget("https://h")).toMatchObject({ tls: "verified", address: { port: 443 } });
    expect(parseTarget("unix:/a b")).toMatchObject({ protocol: "http", address: { kind: "unix", path: "/a b" } });
  });

  it.each([
    ["", "it is empty"],
    ["0", '"0" is not a port'],
    ["65536", '"65536" is not a port'],
    ["localhost:", '"" is not a port'],
    ["localhost:abc", '"abc" is not a port'],
    ["localhost:80:80", '"80:80" is not a port'],
    ["localhost:-1", '"-1" is not a port'],
    ["localhost", "it has no port"],
    ["tcp://localhost", "it has no port"],
    [":9090", "it has no host"],
    ["http://", "it has no host"],
    ["http://localhost:9090/app", 'it has a path, "/app"'],
    ["http://localhost:9090/app/", 'it has a path, "/app"'],
    ["http://localhost?x=1", 'it has a path, "?x=1"'],
    ["http://me:secret@localhost", "it has a user or a password"],
    ["ftp://localhost", '"ftp://" is not a scheme'],
    ["ws://localhost:1", '"ws://" is not a scheme'],
    ["::1", "its IPv6 address has no brackets"],
    ["http://::1", "its IPv6 address has no brackets"],
    ["[::zz]:80", '"::zz" is not an IPv6 address'],
    ["http://999.1.1.1:80", '"999.1.1.1" is not an IPv4 address'],
    ["10.1:80", '"10.1" is not an IPv4 address'],
    ["http://-a-:80", '"-a-" is not a host'],
    ["a b:80", '"a b" is not a host'],
    ["a\r\nb:80", "is not a host"],
    ["unix:app.sock", '"app.sock" is not an absolute path'],
    ["unix:", '"" is not an absolute path'],
    [`unix:/${"x".repeat(107)}`, "its path has 108 bytes"],
    ["unix:/a\0b", "its path has a NUL character"],
  ])("refuses %j: %s", (value, why) => {
    const error = refusal(value);
    expect(error.code).toBe("DPX_TARGET_INVALID");
    expect(error.message).toContain(why);
  });

  it("says what would be right", () => {
    expect(refusal("localhost").hint).toBe(
      "Write localhost:PORT, such as localhost:9090, or http://localhost for port 80.",
    );
    expect(refusal("::1").hint).toBe("Write [::1]:PORT.");
    expect(refusal("http://a/b").hint).toContain("visitors' paths reach the target as they are");
    expect(refusal("ftp://a").hint).toContain("https+insecure://host:port");
  });
});
