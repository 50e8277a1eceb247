// Holds the codec against the vectors of docs/protocol.md, both ways, and the page against the closed sets of the code.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ERRORS } from "../../src/protocol/errors.ts";
import { FrameType } from "../../src/protocol/frame.ts";
import { decodeMessage, encodeMessage } from "../../src/protocol/message-codec.ts";
import { PacketKind } from "../../src/protocol/packet.ts";
import { bytesOf, decodePacket, encodePacket, readBlocks, type VectorPacket } from "../support/vectors.ts";

const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");

const packets = readBlocks("vector").map((block): readonly [string, VectorPacket, Buffer] => {
  const [json = "", ...hex] = block.split("\n");
  return [json, JSON.parse(json), bytesOf(hex.join("\n"))];
});

const refused = readBlocks("refused").map((block): readonly [string, string, Buffer] => {
  const [first = "", ...hex] = block.split("\n");
  const [code = "", ...why] = first.split("  ");
  return [code, why.join(" "), bytesOf(hex.join("\n"))];
});

const messages = readBlocks("message");

describe("docs/protocol.md", () => {
  it.each(packets)("writes %s as the page says", (_json, packet, bytes) => {
    expect(encodePacket(packet).toString("hex")).toBe(bytes.toString("hex"));
  });

  it.each(packets)("reads %s from the page's bytes", (_json, packet, bytes) => {
    expect(decodePacket(bytes)).toEqual(packet);
  });

  it.each(refused)("refuses with %s: %s", (code, _why, bytes) => {
    expect(() => decodePacket(bytes)).toThrow(expect.objectContaining({ name: "DuplexityError", code }));
  });

  it.each(messages)("reads and writes %s", (text) => {
    const message = decodeMessage(text);
    expect(message === null ? null : encodeMessage(message)).toBe(text);
  });

  it("has a vector for every kind of packet and frame, and for every message", () => {
    const kinds = new Set(packets.map(([, { kind }]) => kind));
    expect([...kinds].sort()).toEqual(Object.keys(PacketKind).sort());
    const frames = new Set(packets.flatMap(([, packet]) => packet.frames ?? []).map(({ type }) => type));
    expect([...frames].sort()).toEqual(Object.keys(FrameType).sort());
    const types = messages.map((text) => JSON.parse(text).type);
    expect(new Set(types).size).toBe(11);
    for (const type of types) expect(page).toMatch(new RegExp(`^### ${type}[,\\n]`, "m"));
  });

  it("names only codes that exist", () => {
    const named = page.match(/\bDPX_[A-Z_]*[A-Z]\b(?!_…)/g) ?? [];
    expect(named.filter((code) => !Object.hasOwn(ERRORS, code) && !["DPX_CODE"].includes(code))).toEqual([]);
  });
});

describe("docs/errors.md", () => {
  const errors = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");

  it.each(Object.entries(ERRORS))("has %s with its numbers", (code, entry) => {
    const { wire, closeCode, httpStatus, exitStatus, retryable, meaning } = entry;
    const cells = [wire, closeCode, httpStatus, exitStatus, retryable ? "yes" : "no", meaning];
    expect(errors).toContain(`\`${code}\` | ${cells.join(" | ")} |\n`);
  });
});
