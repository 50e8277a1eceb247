import { describe, expect, it } from "vitest";
import { HttpFault, RequestHeadCache, ResponseHeadCache } from "../../src/http/index.ts";
import { GET, get, ok } from "./read.ts";

function read(cache: RequestHeadCache, text: string) {
  const bytes = Buffer.from(`..${text}..`, "latin1");
  return cache.read(bytes, 2, bytes.length - 2);
}

describe("RequestHeadCache", () => {
  it("gives the same head for the same bytes from the third time on", () => {
    const cache = new RequestHeadCache();
    const [first, second, third, fourth] = [0, 0, 0, 0].map(() => read(cache, get()));
    expect(first).not.toBe(second);
    expect(third).toBe(second);
    expect(fourth).toBe(second);
  });

  it("takes no head for another, wherever they differ", () => {
    const cache = new RequestHeadCache({ maxEntries: 1 });
    const base = get(`Cookie: ${"c".repeat(300)}`, "X: y");
    for (let round = 0; round < 3; round++) read(cache, base);
    for (let at = base.indexOf("Cookie"); at < base.length - 4; at++) {
      if (!/[a-z]/.test(base.charAt(at))) continue;
      const other = `${base.slice(0, at)}Z${base.slice(at + 1)}`;
      const head = read(cache, other);
      expect(head.kind === "request" && head.forwarded).toBe(other.slice(0, -2));
    }
  });

  it("keeps no fault", () => {
    const cache = new RequestHeadCache();
    for (let round = 0; round < 3; round++) expect(read(cache, get("X : y"))).toBeInstanceOf(HttpFault);
    expect(cache.bytes).toBe(0);
  });

  it("stays within its bytes", () => {
    const cache = new RequestHeadCache({ maxEntries: 1_024, maxBytes: 10_000 });
    for (let at = 0; at < 3_000; at++) {
      const text = get(`Cookie: ${at} ${"x".repeat(at % 1_500)}`);
      for (let round = 0; round < 3; round++) read(cache, text);
      expect(cache.bytes).toBeLessThanOrEqual(10_000);
    }
    expect(cache.bytes).toBeGreaterThan(5_000);
  });

  it("keeps nothing that comes once", () => {
    const cache = new RequestHeadCache();
    for (let at = 0; at < 1_000; at++) read(cache, get(`Cookie: ${at}`));
    expect(cache.bytes).toBeLessThan(1_000);
  });

  it("keeps its own copy of the bytes", () => {
    const cache = new RequestHeadCache();
    const bytes = Buffer.from(get("A: 1"));
    for (let round = 0; round < 3; round++) cache.read(bytes, 0, bytes.length);
    bytes[bytes.indexOf("1\r\n\r\n")] = 0x32;
    const head = cache.read(bytes, 0, bytes.length);
    expect(head.kind === "request" && head.field("a")).toBe("2");
  });
});

describe("ResponseHeadCache", () => {
  const bytes = Buffer.from(ok("Content-Length: 5"));

  it("gives the same head for the same bytes", () => {
    const cache = new ResponseHeadCache();
    cache.read(bytes, 0, bytes.length, GET);
    expect(cache.read(bytes, 0, bytes.length, GET)).toBe(cache.read(bytes, 0, bytes.length, GET));
  });

  it("never answers HEAD from what it knows of GET, nor the other way round", () => {
    const cache = new ResponseHeadCache();
    for (let round = 0; round < 3; round++) {
      for (const method of ["GET", "HEAD"]) {
        const head = cache.read(bytes, 0, bytes.length, { method, upgrade: null });
        expect(head.kind === "response" && head.framing.kind).toBe(method === "GET" ? "length" : "none");
      }
    }
  });
});
