// How a node looks for a client whose link is at another hub, with hubs that say what the test wants.

import { afterEach, describe, expect, it, vi } from "vitest";
import { DuplexityError, type OutgoingPacket, PacketKind, Session } from "../../../src/protocol/index.ts";
import { type ClientPlace, RemoteSession } from "../../../src/server/hub/remote-session.ts";
import type { RelayTarget } from "../../../src/server/peer/index.ts";
import { type PathSocket, PeerPath } from "../../../src/server/peer/peer-path.ts";
import { packetOf } from "../peer/fake-link.ts";

const PLACE: ClientPlace = {
  ...{ clientId: "client-0001", ownerId: "ben-id", hostname: "cat1.test", epoch: 4, nodeId: "node-1" },
};
/** Even: it begins with the hub that the registry names. */
const EVEN_ID = 76;
const ODD_ID = 77;

type Answer = "granted" | "refused" | "gone at once" | "silent" | "unreachable" | "lost on asking";

/** All other nodes. What each answers can be changed. */
class FakeHubs {
  readonly answers = new Map<string, Answer>();
  /** In the order in which they were asked. */
  readonly asked: string[] = [];
  readonly paths: { readonly path: PeerPath; readonly session: Session; readonly resumes: OutgoingPacket[] }[] = [];

  connect(nodeId: string) {
    if (this.answers.get(nodeId) === "unreachable") {
      this.asked.push(nodeId);
      return Promise.reject(new DuplexityError("DPX_SERVER_UNREACHABLE", "Nothing listens there"));
    }
    const peer = { isOpen: true };
    const openPath = (session: Session, _target: RelayTarget, signal: AbortSignal): Promise<PeerPath> => {
      this.asked.push(nodeId);
      const answer = this.answers.get(nodeId) ?? "refused";
      if (answer === "refused") return Promise.reject(new DuplexityError("DPX_CLIENT_AWAY", "It is not here"));
      if (answer === "lost on asking") {
        peer.isOpen = false;
        return Promise.reject(new DuplexityError("DPX_LINK_LOST", "The link closed"));
      }
      if (answer === "silent") {
        return new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        });
      }
      const resumes: OutgoingPacket[] = [];
      const socket: PathSocket = {
        ...{ isOpen: true, isCongested: false, rttMs: 1, hasCarried: () => false },
        ...{ add() {}, forget() {}, leave() {} },
        send: (packet) => resumes.push(packet),
      };
      const path = new PeerPath(socket, { relay: 1, session, nodeId }, 1);
      this.paths.push({ path, session, resumes });
      if (answer === "gone at once") path.linkLost(socket, new DuplexityError("DPX_LINK_LOST", "The link closed"));
      return Promise.resolve(path);
    };
    return Promise.resolve(Object.assign(peer, { openPath }));
  }

  /** The client answers the RESUME that was sent `count`-th, over the way that was granted last. */
  resume(count: number): void {
    const last = this.paths.at(-1);
    if (last === undefined) throw new Error("no way was granted");
    const packet = packetOf(PacketKind.resume, last.session.id, 4);
    packet.writeUInt32BE(count, 20);
    const header = { kind: PacketKind.resume, session: last.session.id, seq: 0, ack: 0 };
    last.path.receive(last.path, header, packet, []);
  }

  lose(error = new DuplexityError("DPX_LINK_LOST", "The link closed")): void {
    const last = this.paths.at(-1);
    last?.path.linkLost(last.path, error);
  }
}

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
  vi.useRealTimers();
});

function start(answers: Record<string, Answer>, { id = EVEN_ID, others = ["node-2", "node-3"] } = {}) {
  vi.useFakeTimers();
  const hubs = new FakeHubs();
  for (const [nodeId, answer] of Object.entries(answers)) hubs.answers.set(nodeId, answer);
  const closed: DuplexityError[] = [];
  const remote = new RemoteSession(
    (holder) =>
      new Session({
        ...{ role: "opener", id, resumeWindowMs: 120_000 },
        onLive: () => holder.onLive(),
        onDetached: (error) => holder.onDetached(error),
        onClose: (error) => holder.onClose(error),
      }),
    PLACE,
    {
      ...{ nodeId: "node-0", peers: hubs, nodeIds: () => ["node-0", "node-1", ...others] },
      onLive() {},
      onClose: (_remote, error) => closed.push(error),
      log() {},
    },
  );
  endings.push(() => remote.session.close("DPX_CANCELLED", "The test is over"));
  return { hubs, remote, closed, session: remote.session };
}

const turns = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

describe("RemoteSession", () => {
  it("does not begin anew while its RESUME is under way, however many visitors come", async () => {
    const { hubs, remote, session } = start({ "node-1": "granted" });
    for (let visitor = 0; visitor < 50; visitor += 1) {
      remote.seek();
      await turns(5);
    }
    expect([hubs.asked, hubs.paths.length]).toEqual([["node-1"], 1]);
    hubs.resume(1);
    expect(session.isLive).toBe(true);
  });

  it("looks on when the way is gone by the time that it is granted", async () => {
    const { hubs, remote, session } = start({ "node-1": "gone at once" });
    remote.seek();
    await turns();
    hubs.answers.set("node-1", "granted");
    await turns(100);
    hubs.resume(1);
    expect(session.isLive).toBe(true);
  });

  it("goes over another hub when the client does not answer over the first one, and asks that one last", async () => {
    const { hubs, remote, session } = start({ "node-1": "granted", "node-3": "granted" });
    remote.seek();
    await turns(4_999);
    expect(hubs.paths.map(({ path }) => path.nodeId)).toEqual(["node-1"]);
    await turns(1);
    expect(hubs.paths.map(({ path }) => path.nodeId)).toEqual(["node-1", "node-3"]);
    hubs.resume(2);
    expect(session.isLive).toBe(true);
    await turns(10_000);
    expect(hubs.paths).toHaveLength(2);
  });

  it("goes at once to the hub that the registry names anew, also while it waits for an answer", async () => {
    const { hubs, remote, session } = start({ "node-1": "granted", "node-2": "granted" });
    remote.seek();
    await turns();
    remote.moved({ ...PLACE, nodeId: "node-2", epoch: 5 });
    await turns();
    expect(hubs.asked).toEqual(["node-1", "node-2"]);
    hubs.resume(2);
    expect(session.isLive).toBe(true);
  });

  it("is not disturbed while its RESUME is under way at the hub that the registry names a moment later", async () => {
    const { hubs, remote, session } = start({ "node-1": "unreachable", "node-2": "granted" });
    remote.seek();
    await turns(250);
    expect(hubs.asked).toEqual(["node-1", "node-2", "node-3"]);
    remote.moved({ ...PLACE, nodeId: "node-2", epoch: 5 });
    await turns();
    hubs.resume(1);
    await turns(1_000);
    expect([session.isLive, hubs.asked]).toEqual([true, ["node-1", "node-2", "node-3"]]);
  });

  it("follows its client to another hub while the old way is there, and stays on that until there is a new one", async () => {
    const { hubs, remote, session } = start({ "node-1": "granted" });
    remote.seek();
    await turns();
    hubs.resume(1);
    remote.moved({ ...PLACE, nodeId: "node-2", epoch: 5 });
    await turns(10_000);
    expect([hubs.asked, session.isLive]).toEqual([["node-1", "node-2"], true]);
    hubs.answers.set("node-3", "granted");
    remote.moved({ ...PLACE, nodeId: "node-3", epoch: 6 });
    await turns();
    hubs.resume(2);
    expect([hubs.paths.map(({ path }) => path.nodeId), session.isLive]).toEqual([["node-1", "node-3"], true]);
    // What is older, or leads where it is, moves nothing.
    remote.moved({ ...PLACE, nodeId: "node-2", epoch: 6 });
    remote.moved({ ...PLACE, nodeId: "node-3", epoch: 7 });
    await turns(1_000);
    expect(hubs.asked).toEqual(["node-1", "node-2", "node-3"]);
  });

  it("does not wait for a hub that says nothing: asks the others, and asks all of them anew", async () => {
    const { hubs, remote, session } = start({ "node-1": "silent" });
    remote.seek();
    await turns(249);
    expect(hubs.asked).toEqual(["node-1"]);
    await turns(1);
    expect(hubs.asked).toEqual(["node-1", "node-2", "node-3"]);
    hubs.answers.set("node-3", "granted");
    await turns(5_500);
    hubs.resume(1);
    expect(session.isLive).toBe(true);
  });

  it("comes to every hub of a large cluster, sixteen in an attempt", async () => {
    const others = Array.from({ length: 40 }, (_, index) => `node-${index + 2}`);
    const { hubs, remote } = start({}, { others });
    remote.seek();
    await turns();
    expect(hubs.asked).toHaveLength(17);
    await turns(1_000);
    expect(new Set(hubs.asked).size).toBe(41);
  });

  it("begins with the other hubs in half of the sessions, so that a second link has its part", async () => {
    const { hubs, remote } = start({ "node-1": "granted", "node-3": "granted" }, { id: ODD_ID });
    remote.seek();
    await turns();
    expect(hubs.asked).toEqual(["node-2", "node-3"]);
    expect(hubs.paths.map(({ path }) => path.nodeId)).toEqual(["node-3"]);
  });

  it("asks all at once when a way that was there is gone, and a second later when the hub had no room", async () => {
    const { hubs, remote, session } = start({ "node-1": "granted" });
    remote.seek();
    await turns();
    hubs.resume(1);
    hubs.answers.set("node-1", "silent");
    hubs.asked.length = 0;
    hubs.lose(new DuplexityError("DPX_LINK_QUEUE", "No room"));
    await turns(999);
    expect(hubs.asked).toEqual([]);
    await turns(1);
    expect(hubs.asked).toEqual(["node-1", "node-2", "node-3"]);
    expect(session.isDetached).toBe(true);
  });

  it("is not disturbed while its RESUME is under way by more names that its client registers at the same hub", async () => {
    const { hubs, remote, session } = start({ "node-1": "granted" });
    remote.seek();
    await turns();
    for (const hostname of ["cat2.test", "cat3.test"]) {
      remote.moved({ ...PLACE, hostname, epoch: 9 });
      await turns(300);
    }
    expect([hubs.asked, hubs.paths.length]).toEqual([["node-1"], 1]);
    hubs.resume(1);
    expect(session.isLive).toBe(true);
  });

  it("asks a hub again that has said no when its client registers there, while another one says nothing", async () => {
    const { hubs, remote, session } = start({ "node-2": "silent" });
    remote.seek();
    await turns();
    hubs.answers.set("node-1", "granted");
    remote.moved({ ...PLACE, epoch: 5 });
    await turns();
    expect(hubs.asked).toEqual(["node-1", "node-2", "node-3", "node-1"]);
    hubs.resume(1);
    expect(session.isLive).toBe(true);
  });

  it("leaves an attempt alone in which the hub could not be asked, whatever its client registers there", async () => {
    for (const answer of ["unreachable", "lost on asking"] as const) {
      const { hubs, remote } = start({ "node-1": answer, "node-2": "silent" });
      remote.seek();
      await turns();
      for (const hostname of ["cat2.test", "cat3.test", "cat4.test"]) {
        remote.moved({ ...PLACE, hostname, epoch: 5 });
        await turns();
      }
      expect(hubs.asked).toEqual(["node-1", "node-2", "node-3"]);
      remote.session.close("DPX_CANCELLED", "The test is over");
    }
  });

  it("makes no attempt of each of the names that its client registers at a hub that cannot be asked", async () => {
    const { hubs, remote } = start({ "node-1": "unreachable" });
    remote.seek();
    const register = async (names: number) => {
      for (let name = 0; name < names; name += 1) {
        await turns(5);
        remote.moved({ ...PLACE, hostname: `cat${name}.test`, epoch: 5 });
      }
      await turns();
      return hubs.asked.filter((nodeId) => nodeId === "node-1").length;
    };
    expect(await register(49)).toBe(3);
    // Later attempts are further apart, and one name makes the next one early.
    await turns(60_000);
    hubs.asked.length = 0;
    expect(await register(1)).toBe(1);
  });

  it("comes back a second later when the hub had no room for its RESUME", async () => {
    const { hubs, remote } = start({ "node-1": "granted" });
    remote.seek();
    await turns();
    hubs.answers.set("node-1", "silent");
    hubs.asked.length = 0;
    hubs.lose(new DuplexityError("DPX_LINK_QUEUE", "No room"));
    await turns(999);
    expect(hubs.asked).toEqual([]);
    await turns(1);
    expect(hubs.asked).toEqual(["node-1"]);
  });

  it("asks all others at once when its way goes while it waits for the hub to which its client moves", async () => {
    const { hubs, remote, session } = start({ "node-1": "granted", "node-2": "silent", "node-3": "granted" });
    remote.seek();
    await turns();
    hubs.resume(1);
    remote.moved({ ...PLACE, nodeId: "node-2", epoch: 5 });
    await turns();
    hubs.answers.delete("node-1");
    hubs.lose();
    await turns();
    expect(hubs.paths.map(({ path }) => path.nodeId)).toEqual(["node-1", "node-3"]);
    hubs.resume(2);
    expect(session.isLive).toBe(true);
  });

  it("ends two seconds after its way has gone when its client has left", async () => {
    const { hubs, remote, closed } = start({ "node-1": "granted" });
    remote.seek();
    await turns();
    hubs.resume(1);
    remote.left();
    await turns(60_000);
    expect(closed).toEqual([]);
    hubs.answers.clear();
    hubs.lose();
    await turns(1_999);
    expect(closed).toEqual([]);
    await turns(1);
    expect(closed.map(({ code }) => code)).toEqual(["DPX_CLIENT_AWAY"]);
  });

  it("goes on over the other link of a client that has left, and waits for one that holds a name again", async () => {
    const { hubs, remote, closed, session } = start({ "node-1": "granted", "node-3": "granted" });
    remote.seek();
    await turns();
    hubs.resume(1);
    remote.left();
    hubs.answers.delete("node-1");
    hubs.lose();
    await turns();
    hubs.resume(2);
    await turns(10_000);
    expect([hubs.paths.map(({ path }) => path.nodeId), session.isLive]).toEqual([["node-1", "node-3"], true]);
    hubs.answers.clear();
    hubs.lose();
    remote.moved({ ...PLACE, epoch: 5 });
    await turns(10_000);
    expect(closed).toEqual([]);
  });

  it("ends with its client, and looks for no way then", async () => {
    const { hubs, remote, closed } = start({ "node-1": "granted" });
    remote.seek();
    await turns();
    hubs.resume(1);
    hubs.lose(new DuplexityError("DPX_KICKED", "out"));
    await turns(60_000);
    expect([hubs.asked, closed.map(({ code }) => code)]).toEqual([["node-1"], ["DPX_KICKED"]]);
  });
});
