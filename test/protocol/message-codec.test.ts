// What comes in on /control is either exactly a message of the union, or a DuplexityError.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ControlMessage } from "../../src/protocol/index.ts";
import { DuplexityError, decodeMessage, encodeMessage, MAX_MESSAGE_BYTES } from "../../src/protocol/index.ts";

const HASH = `$scrypt$ln=15,r=8,p=1$${"s".repeat(22)}$${"k".repeat(43)}`;

const SAMPLES: { readonly [T in ControlMessage["type"]]: Extract<ControlMessage, { type: T }> } = {
  discoveryRequest: {
    type: "discoveryRequest",
    clientId: "client-0001",
    protocolVersions: [1],
    software: "duplexity/0.1.0 node/20.20.2 linux-x64",
    features: ["requests"],
  },
  discoveryResponse: {
    type: "discoveryResponse",
    dataPlaneUri: "ws://127.0.0.1:8080/dialer",
    alternatives: ["wss://other.example.com/dialer"],
    protocolVersion: 1,
    nodeId: "node-1",
    software: "duplexity/0.1.0",
    domain: "localhost",
    owner: "key 3f9a",
    ticket: "abcdefgh",
    ticketTtlMs: 30_000,
    heartbeat: { idleMs: 10_000, timeoutMs: 5_000 },
    resumeWindowMs: 30_000,
    moveDelayMs: 2_000,
    limits: { maxPipes: 32, maxStreams: 4_096, maxPacketBytes: 1_048_576 },
    features: ["gates"],
  },
  dialRequest: {
    type: "dialRequest",
    clientId: "client-0001",
    pipes: [
      { name: "cat1", protocol: "http" },
      { name: "db.example.com", protocol: "tcp", gate: { allowCidr: ["192.0.2.7/32"] } },
      {
        name: "dog",
        protocol: "http",
        gate: { basicAuth: [{ user: "ada", hash: HASH }], allowCidr: ["192.0.2.0/24", "::1/128"], login: true },
      },
    ],
    wants: ["requests"],
  },
  pipesAreRegisteredResponse: {
    type: "pipesAreRegisteredResponse",
    clientId: "client-0001",
    pipes: [
      {
        status: "registered",
        name: "cat1",
        protocol: "http",
        hostname: "cat1.localhost",
        url: "http://cat1.localhost:8080",
        epoch: 3,
      },
      {
        status: "registered",
        name: "db",
        protocol: "tcp",
        hostname: "db.localhost",
        url: "tcp://localhost:1",
        epoch: 0,
      },
      { status: "refused", name: "dog", code: "DPX_NAME_TAKEN", message: "Cannot register", hint: "Take another" },
      { status: "refused", name: "www", code: "DPX_NAME_RESERVED", message: "Cannot register" },
    ],
  },
  closePipesRequest: { type: "closePipesRequest", clientId: "client-0001", names: ["cat1", "db.example.com"] },
  pipesAreClosedResponse: { type: "pipesAreClosedResponse", clientId: "client-0001", names: ["cat1"] },
  clientDisconnectRequest: { type: "clientDisconnectRequest", clientId: "client-0001", reason: "" },
  forceDisconnectRequest: {
    type: "forceDisconnectRequest",
    code: "DPX_KICKED",
    by: "an admin",
    reason: "too loud",
    until: "2026-11-23T12:00:00.000Z",
  },
  drainRequest: { type: "drainRequest", deadlineMs: 30_000, dataPlaneUris: ["wss://other.example.com/dialer"] },
  tokenRefresh: { type: "tokenRefresh", token: "eyJhbGciOiJFZERTQSJ9.e30.c2ln" },
  error: { type: "error", code: "DPX_DRAINING", message: "This node is shutting down", hint: "Try again" },
};

function refusal(text: string): { code: string; message: string } {
  try {
    decodeMessage(text);
  } catch (error) {
    if (error instanceof DuplexityError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error(`${text.slice(0, 100)} was accepted`);
}

/** `message` with the value at `path` replaced, as JSON. */
function withValue(message: object, path: readonly (string | number)[], value: unknown): string {
  const copy: unknown = structuredClone(message);
  let holder = copy;
  for (const step of path.slice(0, -1)) holder = Reflect.get(Object(holder), step);
  const last = path.at(-1) ?? "";
  if (value === undefined) Reflect.deleteProperty(Object(holder), last);
  else Reflect.set(Object(holder), last, value);
  return JSON.stringify(copy);
}

describe("decodeMessage", () => {
  it.each(Object.entries(SAMPLES))("reads back a %s as it was sent", (_type, message) => {
    expect(decodeMessage(encodeMessage(message))).toEqual(message);
  });

  it.each(Object.entries(SAMPLES))("drops unknown fields of a %s", (_type, message) => {
    expect(decodeMessage(JSON.stringify({ ...message, later: { version: 2 } }))).toEqual(message);
  });

  // Each field of each message, given each kind of wrong value: refused with the field's name.
  const optionalFields = new Set([
    ...["error.hint", "pipesAreRegisteredResponse.pipes.2.hint", "discoveryResponse.features"],
    ...["discoveryResponse.moveDelayMs"],
    ...[
      "dialRequest.pipes.1.gate",
      "dialRequest.pipes.1.gate.allowCidr",
      "dialRequest.pipes.2.gate",
      "dialRequest.pipes.2.gate.basicAuth",
    ],
    ...["dialRequest.pipes.2.gate.allowCidr", "dialRequest.pipes.2.gate.login"],
  ]);
  const fields = Object.values(SAMPLES).flatMap((message) =>
    leavesOf(message)
      .filter((path) => path.join(".") !== "type")
      .map((path) => ({ message, path, title: `${message.type}.${path.join(".")}` })),
  );

  it.each(fields)("refuses a wrong $title", ({ message, path, title }) => {
    const wrong = [true, {}, [], [[]], "", -1, 1.5, 1e300, "\u0000", "x".repeat(20_000), undefined, null];
    const named = path.filter((step) => typeof step === "string").at(-1) ?? "";
    for (const value of wrong) {
      if (!isWrong(title, path, value, optionalFields)) continue;
      const { code, message: sentence } = refusal(withValue(message, path, value));
      expect([code, JSON.stringify(value)]).toEqual(["DPX_MESSAGE_INVALID", JSON.stringify(value)]);
      expect(sentence).toContain(named);
    }
  });

  it("says which field is wrong and what it should be", () => {
    expect(refusal(withValue(SAMPLES.dialRequest, ["pipes", 1, "protocol"], "udp"))).toEqual({
      code: "DPX_MESSAGE_INVALID",
      message: 'Cannot read the message: "pipes[1].protocol" is not one of http, tcp',
    });
  });

  it.each(["short", "x".repeat(65), "client 0001", "client/0001", "clientä001", "client-0001\n", 12_345_678])(
    "refuses the clientId %j",
    (clientId) => {
      expect(refusal(withValue(SAMPLES.discoveryRequest, ["clientId"], clientId)).message).toContain('"clientId"');
    },
  );

  it.each([
    ["protocolVersions", SAMPLES.discoveryRequest, Array.from({ length: 65 }, () => 1)],
    ["features", SAMPLES.discoveryRequest, Array.from({ length: 65 }, () => "f")],
    ["wants", SAMPLES.dialRequest, Array.from({ length: 65 }, () => "requests")],
    ["alternatives", SAMPLES.discoveryResponse, Array.from({ length: 65 }, () => "ws://h/d")],
    ["dataPlaneUris", SAMPLES.drainRequest, Array.from({ length: 65 }, () => "ws://h/d")],
    ["pipes", SAMPLES.dialRequest, Array.from({ length: 257 }, () => ({ name: "a", protocol: "http" }))],
    ["pipes", SAMPLES.dialRequest, []],
    ["names", SAMPLES.closePipesRequest, Array.from({ length: 257 }, () => "a")],
    ["names", SAMPLES.closePipesRequest, []],
    ["names", SAMPLES.pipesAreClosedResponse, Array.from({ length: 257 }, () => "a")],
    ["protocolVersions", SAMPLES.discoveryRequest, []],
  ])("bounds the array %s", (name, message, value) => {
    const { code, message: sentence } = refusal(withValue(message, [name], value));
    expect(code).toBe("DPX_MESSAGE_INVALID");
    expect(sentence).toContain(`"${name}" is not an array of`);
  });

  const gate = SAMPLES.dialRequest.pipes[2]?.gate;

  it.each([
    ["basicAuth", Array.from({ length: 65 }, (_, at) => ({ user: `u${at}`, hash: HASH })), "an array of 1 to 64 items"],
    ["basicAuth", [], "an array of 1 to 64 items"],
    ["basicAuth", Array.from({ length: 2 }, () => ({ user: "ada", hash: HASH })), "a list of different users"],
    ["basicAuth", [{ user: "a:b", hash: HASH }], "1 to 128 characters in NFC"],
    ["basicAuth", [{ user: "ada", hash: HASH.replace("15", "20") }], "a hash of the form of this version"],
    ["allowCidr", Array.from({ length: 65 }, () => "::1/128"), "an array of 1 to 64 items"],
    ["allowCidr", [], "an array of 1 to 64 items"],
    ["allowCidr", ["10.0.0.1"], "a network"],
    ["allowCidr", ["10.0.0.0/33"], "a network"],
    ["login", false, "true"],
  ])("refuses a gate with a wrong %s: %#", (part, value, wanted) => {
    const { code, message } = refusal(withValue(SAMPLES.dialRequest, ["pipes", 2, "gate"], { ...gate, [part]: value }));
    expect(code).toBe("DPX_MESSAGE_INVALID");
    expect(message).toContain(`"pipes[2].gate.${part}`);
    expect(message).toContain(wanted);
  });

  it("refuses a gate that asks for nothing, also one whose parts are not its own", () => {
    const wanted = 'Cannot read the message: "pipes[2].gate" is not a gate: it asks for nothing';
    expect(refusal(withValue(SAMPLES.dialRequest, ["pipes", 2, "gate"], {})).message).toBe(wanted);
    const inherited = withValue(SAMPLES.dialRequest, ["pipes", 2, "gate"], { later: 1 }).replace(
      '{"later":1}',
      '{"__proto__":{"login":true}}',
    );
    expect(refusal(inherited).message).toBe(wanted);
  });

  it.each(["javascript:alert(1)", "http://host/dialer", "ws://", "ws:// host", "ws://h\u0007st/", "//host/dialer"])(
    "refuses the dataPlaneUri %j",
    (uri) => {
      expect(refusal(withValue(SAMPLES.discoveryResponse, ["dataPlaneUri"], uri)).code).toBe("DPX_MESSAGE_INVALID");
    },
  );

  it("makes control and direction characters in sentences harmless", () => {
    const text = withValue(SAMPLES.error, ["message"], "red \u001b[31m\u009b1m\r\nnext \u202eevil");
    expect(decodeMessage(text)).toMatchObject({ message: "red  [31m 1m  next  evil" });
  });

  it("reads an error code of a later version as DPX_INTERNAL", () => {
    expect(decodeMessage(withValue(SAMPLES.error, ["code"], "DPX_LATER"))).toMatchObject({ code: "DPX_INTERNAL" });
    expect(decodeMessage(withValue(SAMPLES.error, ["code"], "toString"))).toMatchObject({ code: "DPX_INTERNAL" });
  });

  it("drops wants of a later version and duplicates", () => {
    const text = withValue(SAMPLES.dialRequest, ["wants"], ["requests", "dreams", "requests"]);
    expect(decodeMessage(text)).toMatchObject({ wants: ["requests"] });
  });

  it("ignores an unknown type that is marked optional, and no other", () => {
    expect(decodeMessage('{"type":"later","optional":true}')).toBeNull();
    for (const optional of ["false", "1", '"true"', "null", "{}"]) {
      expect(refusal(`{"type":"later","optional":${optional}}`).code).toBe("DPX_MESSAGE_INVALID");
    }
    expect(refusal('{"type":"later"}').message).toBe(
      'Cannot read the message: "type" is not a message of this version: later',
    );
    expect(refusal('{"type":"error","optional":true}').code).toBe("DPX_MESSAGE_INVALID");
  });

  it.each(["constructor", "__proto__", "toString", "hasOwnProperty"])("takes no type from a prototype: %s", (type) => {
    expect(refusal(JSON.stringify({ type })).code).toBe("DPX_MESSAGE_INVALID");
  });

  it("takes no field from __proto__ and pollutes nothing", () => {
    const inner = JSON.stringify(SAMPLES.clientDisconnectRequest);
    expect(refusal(`{"__proto__":${inner}}`).message).toContain('"type"');
    const polluted = `{"__proto__":{"polluted":1},${inner.slice(1)}`;
    const message = decodeMessage(polluted);
    expect(message).toEqual(SAMPLES.clientDisconnectRequest);
    expect(Reflect.get(Object(message), "polluted")).toBeUndefined();
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  it.each(["", "{", "nul", "'x'", "\ufeff{}", "[".repeat(60_000), '{"a":'.repeat(10_000)])(
    "refuses what is not JSON",
    (text) => {
      expect(refusal(text).code).toBe("DPX_MESSAGE_INVALID");
    },
  );

  it.each(["null", "1", '"x"', "[]", "true"])("refuses %s, which is not an object", (text) => {
    expect(refusal(text).message).toBe('Cannot read the message: "message" is not an object');
  });

  it("refuses a message over 64 KiB by its bytes, not by its characters", () => {
    const fits = `{"type":"later","optional":true,"x":"${"x".repeat(MAX_MESSAGE_BYTES - 39)}"}`;
    expect(Buffer.byteLength(fits)).toBe(MAX_MESSAGE_BYTES);
    expect(decodeMessage(fits)).toBeNull();
    const wide = `{"type":"later","optional":true,"x":"${"ä".repeat(40_000)}"}`;
    expect(wide.length).toBeLessThan(MAX_MESSAGE_BYTES);
    expect(refusal(wide)).toEqual({
      code: "DPX_MESSAGE_TOO_LARGE",
      message: "Cannot read the message: it has 80039 bytes, at most 65536 are allowed",
    });
    expect(refusal("x".repeat(1_000_000)).code).toBe("DPX_MESSAGE_TOO_LARGE");
  });

  it("throws nothing but DuplexityError for any text", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json(), mutatedMessage()), acceptsOrRefuses), { numRuns: 3_000 });
  });

  it("passes on only what it would pass again, unchanged", () => {
    fc.assert(
      fc.property(mutatedMessage(), (text) => {
        const first = attempt(text);
        if (first === null) return;
        expect(decodeMessage(encodeMessage(first))).toEqual(first);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("encodeMessage", () => {
  it("refuses to send more than 64 KiB", () => {
    const pipes = Array.from({ length: 256 }, () => ({ name: "x".repeat(250), protocol: "http" as const }));
    expect(() => encodeMessage({ ...SAMPLES.dialRequest, pipes })).toThrow(
      expect.objectContaining({ code: "DPX_MESSAGE_TOO_LARGE", message: expect.stringContaining("Cannot send") }),
    );
  });
});

function acceptsOrRefuses(text: string): void {
  attempt(text);
}

function attempt(text: string): ControlMessage | null {
  try {
    return decodeMessage(text);
  } catch (error) {
    if (error instanceof DuplexityError) return null;
    throw error;
  }
}

/** A valid message with one value replaced by anything. */
function mutatedMessage(): fc.Arbitrary<string> {
  return fc
    .constantFrom(...Object.values(SAMPLES))
    .chain((message) =>
      fc
        .tuple(fc.constantFrom(...leavesOf(message)), fc.oneof(fc.jsonValue(), fc.string(), fc.integer()))
        .map(([path, value]) => withValue(message, path, value)),
    );
}

/** The paths to all values in `value`, of objects and arrays too. */
function leavesOf(value: unknown, path: readonly (string | number)[] = []): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [[...path]];
  const steps: (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const inner = steps.flatMap((step) => leavesOf(Reflect.get(value, step), [...path, step]));
  return path.length === 0 ? inner : [[...path], ...inner];
}

/** Whether `value` is none of what the field at `path` may hold. */
function isWrong(title: string, path: readonly (string | number)[], value: unknown, optional: Set<string>): boolean {
  const name = path.filter((step) => typeof step === "string").at(-1) ?? "";
  const isItem = typeof path.at(-1) === "number";
  if (value === true && name === "login") return false;
  if (value === undefined) return !isItem && !optional.has(title);
  if (value === null) return name !== "until";
  const prose = ["software", "owner", "message", "hint", "reason", "by"];
  if ((value === "" || value === "\u0000") && prose.includes(name)) return false;
  if (value === "\u0000" && ["name", "names", "hostname", "domain"].includes(name)) return false;
  if (Array.isArray(value) && value.length === 0 && !isItem) {
    if (title === "pipesAreClosedResponse.names") return false;
    return !["features", "wants", "alternatives", "dataPlaneUris"].includes(name);
  }
  return true;
}
