// Holds the messages between nodes against docs/protocol.md, both ways.

import { describe, expect, it } from "vitest";
import { decodePeerMessage, encodePeerMessage } from "../../../src/server/peer/peer-messages.ts";
import { isProof } from "../../../src/server/peer/peer-proof.ts";
import { readBlocks } from "../../support/vectors.ts";

const messages = readBlocks("peer");

describe("docs/protocol.md, between nodes", () => {
  it.each(messages)("reads and writes %s", (text) => {
    expect(encodePeerMessage(decodePeerMessage(text))).toBe(text);
  });

  it("has each message, and proofs that hold", () => {
    const [challenge, proof, welcome, ...others] = messages.map(decodePeerMessage);
    if (challenge?.type !== "peerChallenge" || proof?.type !== "peerProof" || welcome?.type !== "peerWelcome") {
      throw new Error("The handshake is not first");
    }
    expect(others.map(({ type }) => type)).toEqual([
      ...["relayRequest", "relayResponse", "relayCredit", "relayEnded", "relayEnd"],
    ]);
    const nonces = { hubNonce: challenge.nonce, nodeNonce: proof.nonce };
    const exchange = { hubId: challenge.nodeId, nodeId: proof.nodeId, ...nonces };
    expect(isProof(["the secret of this cluster"], "node", exchange, proof.mac)).toBe(true);
    expect(isProof(["the secret of this cluster"], "hub", exchange, welcome.mac)).toBe(true);
  });
});

describe("decodePeerMessage", () => {
  it.each([
    ["no JSON", "{", "DPX_MESSAGE_INVALID"],
    ["no object", "[]", "DPX_MESSAGE_INVALID"],
    ["a type that is not known", '{"type":"relayMaybe","relay":1}', "DPX_MESSAGE_INVALID"],
    ["a field that is missing", '{"type":"relayEnd"}', "DPX_MESSAGE_INVALID"],
    ["a relay that is no count", '{"type":"relayEnd","relay":0}', "DPX_MESSAGE_INVALID"],
    ["credit below nothing", '{"type":"relayCredit","relay":1,"bytes":-1,"rttMs":0}', "DPX_MESSAGE_INVALID"],
    ["too much", `{"type":"relayEnd","relay":1,"x":"${"x".repeat(65_536)}"}`, "DPX_MESSAGE_TOO_LARGE"],
  ])("refuses %s", (_what, text, code) => {
    expect(() => decodePeerMessage(text)).toThrow(expect.objectContaining({ name: "DuplexityError", code }));
  });

  it("reads a code that it does not know as a defect", () => {
    const text = '{"type":"relayEnded","relay":1,"code":"DPX_NEW","message":"of a newer node"}';
    expect(decodePeerMessage(text)).toMatchObject({ code: "DPX_INTERNAL" });
  });
});
