import { describe, expect, it } from "vitest";
import { disconnectError } from "../../src/protocol/index.ts";

describe("disconnectError", () => {
  it.each([
    ["", null, "ana kicked this client"],
    ["too loud", null, "ana kicked this client: too loud"],
    ["too loud.", "2026-11-23T12:00:00Z", "ana kicked this client: too loud. Banned until 2026-11-23 12:00 UTC"],
    ["", "9999-12-31T23:59:59.999Z", "ana kicked this client. Banned for ever"],
    ["", "soon", "ana kicked this client. Banned until soon"],
  ])("says who, why (%j) and until when (%j)", (reason, until, message) => {
    expect(disconnectError({ code: "DPX_KICKED", by: "ana", reason, until })).toMatchObject({
      code: "DPX_KICKED",
      message,
    });
  });

  it("calls a take-over by the owner no kick", () => {
    const error = disconnectError({ code: "DPX_REPLACED", by: "ben", reason: "cat1 is up elsewhere", until: null });
    expect(error).toMatchObject({ code: "DPX_REPLACED", message: "ben ended this client: cat1 is up elsewhere" });
  });
});
