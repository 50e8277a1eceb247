// Which server a client dials next.

import { expect, it } from "vitest";
import { Servers } from "../../src/client/servers.ts";

const FIRST = "ws://node-1.test/control";
const SECOND = "ws://node-2.test/control";

it("comes back to a server that has refused, when the one that the user gave is gone", () => {
  const servers = new Servers(new URL(FIRST));
  servers.learn(["ws://node-2.test/dialer"]);
  servers.turn(null);
  expect(servers.current.href).toBe(SECOND);
  // The first one has gone for good, so the second one names nobody; and it takes no client just now.
  servers.learn([]);
  servers.turn(null);
  expect(servers.current.href).toBe(FIRST);
  servers.turn(null);
  expect(servers.current.href).toBe(SECOND);
});

it("goes to a hub that was named before it goes to the given address again, which may lead back", () => {
  const servers = new Servers(new URL(FIRST), () => 0);
  servers.learn(["ws://node-2.test/dialer"]);
  servers.turn(null);
  servers.learn(["ws://node-3.test/dialer"]);
  servers.turn(null);
  expect(servers.current.href).toBe("ws://node-3.test/control");
  servers.turn(null);
  expect(servers.current.href).toBe(FIRST);
});

it("comes to each once before it comes to one again that was of no use, first to those that were named", () => {
  const taken = "ws://node-4.test/control";
  const servers = new Servers(new URL(FIRST), () => 0);
  servers.use(new URL(SECOND));
  servers.learn(["ws://node-3.test/dialer", "ws://node-4.test/dialer", "ws://node-5.test/dialer"]);
  const turns = Array.from({ length: 6 }, () => {
    const { hasUntried } = servers;
    servers.turn(new URL(taken));
    return [servers.current.href, hasUntried];
  });
  const [third, fifth] = ["ws://node-3.test/control", "ws://node-5.test/control"];
  expect(turns).toEqual([
    [third, true],
    [fifth, true],
    [FIRST, true],
    [taken, true],
    // Of those that are left it has tried all.
    [SECOND, false],
    [third, false],
  ]);
  servers.learn(["ws://node-5.test/dialer"]);
  expect(servers.hasUntried).toBe(true);
});

it("keeps another hub in mind that could not take it over from one that drains", () => {
  const given = new URL(FIRST);
  const servers = new Servers(given);
  servers.learn(["ws://node-2.test/dialer"]);
  const [other] = servers.alternatives;
  if (other === undefined) throw new Error("No other hub");
  servers.use(other);
  servers.learn([]);
  expect(servers.alternatives).toEqual([]);
  servers.use(given);
  expect(servers.alternatives.map(({ href }) => href)).toEqual([SECOND]);
});
