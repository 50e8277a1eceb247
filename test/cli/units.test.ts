import { describe, expect, it } from "vitest";
import {
  parseCount,
  parseDuration,
  parseListenAddress,
  parsePortRange,
  parseServerUrl,
  parseSize,
} from "../../src/cli/units.ts";

describe("parseDuration", () => {
  it("reads each unit, and fractions", () => {
    expect(["0", "500ms", "30s", "1.5m", "2h", "1d", "5 s"].map(parseDuration)).toEqual([
      0, 500, 30_000, 90_000, 7_200_000, 86_400_000, 5_000,
    ]);
  });

  it("refuses what has no unit, a sign, or more than a timer can wait", () => {
    expect(["", "30", "-1s", "1w", "s", "1e3s", "25d", "Infinity"].map(parseDuration)).toEqual(Array(8).fill(null));
  });
});

describe("parseSize", () => {
  it("reads bytes, binary and decimal units", () => {
    expect(["65536", "64KiB", "16mib", "10MB", "1 GiB"].map(parseSize)).toEqual([
      65_536, 65_536, 16_777_216, 10_000_000, 1_073_741_824,
    ]);
  });

  it("refuses unknown units and signs", () => {
    expect(["", "64K", "-1", "1TiB", "KiB"].map(parseSize)).toEqual(Array(5).fill(null));
  });
});

describe("parseCount", () => {
  it("reads whole numbers only", () => {
    expect(["32", "10_000", "1.5", "-1", "", "1e9", "99999999999999999999"].map(parseCount)).toEqual([
      32,
      10_000,
      null,
      null,
      null,
      null,
      null,
    ]);
  });
});

describe("parseListenAddress", () => {
  it("reads a port, a host with a port, and IPv6 in brackets", () => {
    expect(parseListenAddress("8080")).toEqual({ host: "127.0.0.1", port: 8080 });
    expect(parseListenAddress("0.0.0.0:0")).toEqual({ host: "0.0.0.0", port: 0 });
    expect(parseListenAddress("[::1]:443")).toEqual({ host: "::1", port: 443 });
    expect(parseListenAddress("tunnel.example.com:80")).toEqual({ host: "tunnel.example.com", port: 80 });
  });

  it("takes :PORT as every address", () => {
    expect(parseListenAddress(":8080")).toEqual({ host: "::", port: 8080 });
  });

  it("refuses a port beyond 65535, a bare IPv6 address, and a missing port", () => {
    expect(["127.0.0.1:65536", "::1:8080", "localhost", "localhost:", "a b:1"].map(parseListenAddress)).toEqual(
      Array(5).fill(null),
    );
  });
});

describe("parsePortRange", () => {
  it("reads a range and a single port", () => {
    expect(parsePortRange("20000-20099")).toEqual({ from: 20_000, to: 20_099 });
    expect(parsePortRange("20000")).toEqual({ from: 20_000, to: 20_000 });
  });

  it("refuses a range that runs backwards, port 0 and ports that do not exist", () => {
    expect(["20099-20000", "0-10", "1-65536", "a-b", ""].map(parsePortRange)).toEqual(Array(5).fill(null));
  });
});

describe("parseServerUrl", () => {
  it("answers the origin; without a scheme https, on this machine http", () => {
    expect(parseServerUrl("http://localhost:8080/")).toBe("http://localhost:8080");
    expect(parseServerUrl("tunnel.example.com")).toBe("https://tunnel.example.com");
    expect(parseServerUrl("localhost.example.com")).toBe("https://localhost.example.com");
    expect(parseServerUrl("localhost:8080")).toBe("http://localhost:8080");
    expect(parseServerUrl("127.0.0.1:8080")).toBe("http://127.0.0.1:8080");
    expect(parseServerUrl("[::1]")).toBe("http://[::1]");
  });

  it("refuses a port alone", () => {
    expect(["5", "8080"].map(parseServerUrl)).toEqual([null, null]);
  });

  it("refuses other schemes, paths, and a password in the address", () => {
    expect(["ws://a", "http://a/b", "http://u:p@a", "http://", "a b"].map(parseServerUrl)).toEqual(Array(5).fill(null));
  });
});
