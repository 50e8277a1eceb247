import { describe, expect, it } from "vitest";
import { parsePipe } from "../../src/client/index.ts";
import { resolvePipes } from "../../src/client/pipe.ts";
import { DuplexityError } from "../../src/protocol/index.ts";

function failure(run: () => unknown): { code: string; message: string; hint: string | undefined } {
  try {
    run();
  } catch (error) {
    if (error instanceof DuplexityError) return { code: error.code, message: error.message, hint: error.hint };
  }
  throw new Error("nothing was thrown");
}

describe("parsePipe", () => {
  it.each([
    ["cat1:localhost:9090", "cat1", "http://localhost:9090"],
    ["cat1:9090", "cat1", "http://localhost:9090"],
    ["Cat1:9090", "cat1", "http://localhost:9090"],
    ["cat1.example.com:[::1]:80", "cat1.example.com", "http://[::1]:80"],
    ["db:tcp://localhost:5432", "db", "tcp://localhost:5432"],
    ["cat1:unix:/x.sock", "cat1", "unix:/x.sock"],
    ["cat1:https://host", "cat1", "https://host:443"],
    ["8080:9090", "8080", "http://localhost:9090"],
  ])("reads %s", (text, name, target) => {
    const pipe = parsePipe(text);
    expect(pipe.name).toBe(name);
    expect(pipe.target.text).toBe(target);
  });

  it.each(["9090", "localhost:9090", "http://localhost:9090", "127.0.0.1:9090", "[::1]:80", "unix:/x.sock"])(
    "asks for a name in %s",
    (text) => {
      expect(failure(() => parsePipe(text))).toEqual({
        code: "DPX_USAGE",
        message: `Cannot read the pipe "${text}": it has no name, wanted NAME:TARGET`,
        hint: `Write cat1:${text}, or give "${text}" without --pipe for a random name.`,
      });
    },
  );

  it.each(["cat1", "cat1:"])("asks for a target in %s", (text) => {
    expect(failure(() => parsePipe(text))).toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot read the pipe "${text}": it has no target, wanted NAME:TARGET`,
      hint: "Write cat1:9090 or cat1:localhost:9090.",
    });
  });

  it("passes on what is wrong with name or target", () => {
    expect(failure(() => parsePipe("-a:9090")).code).toBe("DPX_NAME_INVALID");
    expect(failure(() => parsePipe(":9090")).code).toBe("DPX_NAME_INVALID");
    expect(failure(() => parsePipe("www:9090")).code).toBe("DPX_NAME_RESERVED");
    expect(failure(() => parsePipe("cat1:ftp://x")).code).toBe("DPX_TARGET_INVALID");
  });
});

describe("resolvePipes", () => {
  it("gives a pipe without a name the same one for the same machine and target, written in any form", () => {
    const [first] = resolvePipes([{ target: 9090 }], "key:a");
    const [again] = resolvePipes([{ target: "http://localhost:9090/" }], "key:a");
    const [elsewhere] = resolvePipes([{ target: 9090 }], "key:b");
    const [other] = resolvePipes([{ target: 9091 }], "key:a");
    expect(first?.name).toMatch(/^[a-z]+-[a-z]+-[2-9b-z]{4}$/);
    expect(again?.name).toBe(first?.name);
    expect(elsewhere?.name).not.toBe(first?.name);
    expect(other?.name).not.toBe(first?.name);
  });

  it("keeps its names from one version to the next", () => {
    expect(resolvePipes([{ target: 9090 }], "key:a")[0]?.name).toBe("hardy-lark-pqzg");
  });

  it("refuses two pipes of one name", () => {
    const pipes = [
      { name: "cat1", target: 1 },
      { name: "CAT1.", target: 2 },
    ];
    expect(failure(() => resolvePipes(pipes, ""))).toMatchObject({
      code: "DPX_USAGE",
      message: 'Cannot open two pipes called "cat1": one leads to http://localhost:1, the other to http://localhost:2',
    });
  });

  it("refuses one target twice without names, no pipe, and too many", () => {
    const twice = failure(() => resolvePipes([{ target: 1 }, { target: "localhost:1" }], ""));
    expect(twice.code).toBe("DPX_USAGE");
    expect(twice.message).toContain("Cannot open two pipes to http://localhost:1");
    expect(failure(() => resolvePipes([], "")).message).toContain("it has no pipe");
    const many = Array.from({ length: 257 }, (_, index) => ({ target: index + 1 }));
    expect(failure(() => resolvePipes(many, "")).message).toBe("Cannot open 257 pipes in one tunnel, at most 256 fit");
  });
});
