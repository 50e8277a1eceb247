// What a dialer asks for: its client's pipes are registered, and it becomes the client's link; or it is refused, and the
// client is told on control why.

import { asDuplexityError, type DialRequest, DuplexityError, type PipeResult } from "../../protocol/index.ts";
import type { Attempts } from "../attempts.ts";
import type { Registry } from "../backend/registry.ts";
import type { ServeLimits } from "../index.ts";
import type { TurnQueue } from "../turn-queue.ts";
import type { ClientLinks } from "./client-links.ts";
import type { ClientRecord, HeldPipe } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import type { DialerSocket } from "./dialer-socket.ts";
import { type Lives, lost } from "./lives.ts";
import { OwnerLists } from "./owner-lists.ts";
import { checkClusterPipes, checkOwnerPipes, hostnamesOf } from "./owner-pipes.ts";
import { type RegisterOutcome, type Registrar, refusalOf } from "./registrar.ts";
import { type SecondLinkOptions, see } from "./second-links.ts";

export interface DialsOptions extends SecondLinkOptions {
  readonly registry: Pick<Registry, "countBound" | "list" | "locate">;
  /** Whether there are no other nodes. */
  readonly isAlone: boolean;
  readonly clients: ClientTable;
  readonly registrar: Registrar;
  readonly lives: Lives;
  readonly links: ClientLinks;
  /** Ends the client if it may not stay. */
  judge(client: ClientRecord): void;
  readonly turns: Pick<TurnQueue, "wait">;
  readonly attempts: Attempts;
  readonly limits: Pick<ServeLimits, "maxPipesPerOwner">;
}

export class Dials {
  readonly #options: DialsOptions;
  readonly #lists: OwnerLists;

  constructor(options: DialsOptions) {
    this.#options = options;
    this.#lists = new OwnerLists(options.registry);
  }

  /** Registers the client's pipes and, when all are its own, goes on over the dialer. The outcome is told on control. */
  async dial(dialer: DialerSocket, client: ClientRecord, request: DialRequest): Promise<void> {
    const { pipes, wants } = request;
    // Before anything is begun: until then nobody is kicked by the names.
    await this.#options.turns.wait();
    client.dials += 1;
    const dial = client.dials;
    // From now on it is found by these names, too: it may be banned or kicked because of one that it does not hold yet.
    client.wanted = hostnamesOf(
      pipes.map(({ name }) => name),
      this.#options.domain,
    );
    return client.inTurn(async () => {
      if (client.dials !== dial) return dialer.refuse(lost("A newer dialer took its place"));
      const isSecond = wants.includes("second-link");
      client.isRegistering = !isSecond;
      try {
        if (isSecond) await this.#dialSecond(dialer, client, request);
        else await this.#dialFirst(dialer, client, request);
      } finally {
        client.isRegistering = false;
      }
      if (client.dials === dial && !client.isLeaving && !isSecond) client.wanted = [];
    });
  }

  async #dialFirst(dialer: DialerSocket, client: ClientRecord, request: DialRequest): Promise<void> {
    const outcome = await this.#register(dialer, client, request);
    if (outcome === null) return;
    if (outcome.status === "refused") {
      this.#refuse(dialer, client, outcome.refusals);
      return;
    }
    const over = await this.#overLimit(client, outcome.pipes);
    // In one turn with what follows: whoever ends the client or bans a name of it comes before this or after all of it.
    const left = this.#goneReason(client) ?? (dialer.isWaiting ? null : lost("The client has left"));
    const refusal = left === null ? (this.#refusalOf(client, outcome.pipes) ?? over) : null;
    const gone = left ?? (refusal === null ? this.#endReason(client) : null);
    if (gone !== null || refusal !== null) {
      await outcome.undo();
      if (refusal !== null) this.#refuse(dialer, client, [refusal]);
      else if (gone !== null) dialer.refuse(gone);
      this.#options.lives.dropIfUnused(client);
      return;
    }
    const { registrar, lives, links } = this.#options;
    const before = client.held;
    client.held = outcome.pipes;
    client.moved = [];
    lives.replaced(outcome.replaced, client);
    this.#tell(client, [
      ...outcome.pipes.map((pipe) => ({ status: "registered", ...pipe }) as const),
      ...outcome.refusals,
    ]);
    links.attach(client, dialer, request.wants);
    const dropped = before.filter((old) => !outcome.pipes.some(({ hostname }) => hostname === old.hostname));
    await registrar.release(client, dropped, "left");
  }

  /** The client's first link is at another hub, which has registered its pipes: here is only another way to it. */
  async #dialSecond(dialer: DialerSocket, client: ClientRecord, request: DialRequest): Promise<void> {
    const seen = await see(this.#options, client, request.pipes);
    const left = this.#goneReason(client) ?? (dialer.isWaiting ? null : lost("The client has left"));
    const refusals = seen.filter(({ status }) => status === "refused");
    const gone = left ?? (refusals.length === 0 ? this.#endReason(client) : null);
    if (gone !== null) dialer.refuse(gone);
    else if (refusals.length > 0) this.#refuse(dialer, client, refusals);
    else {
      this.#tell(client, seen);
      this.#options.links.attach(client, dialer, request.wants);
    }
    this.#options.lives.dropIfUnused(client);
  }

  /** Null: the dialer is refused already. */
  async #register(
    dialer: DialerSocket,
    client: ClientRecord,
    { pipes, wants }: DialRequest,
  ): Promise<RegisterOutcome | null> {
    const { attempts, clients, limits, registrar } = this.#options;
    try {
      for (const key of dialer.attemptKeys) await attempts.count("register", key);
      checkOwnerPipes(client, clients, limits.maxPipesPerOwner);
    } catch (error) {
      return { status: "refused", refusals: [refusalOf(pipes[0]?.name ?? "", asDuplexityError(error))] };
    }
    const gone = this.#goneReason(client);
    if (gone === null) {
      const [wantsReports, isPartial] = [wants.includes("requests"), wants.includes("partial")];
      return registrar.register(client, pipes, { wantsReports, isPartial });
    }
    dialer.refuse(gone);
    return null;
  }

  /** What the owner has at other nodes counts as well. */
  async #overLimit(client: ClientRecord, pipes: readonly HeldPipe[]): Promise<PipeResult | null> {
    const { isAlone, limits, registry } = this.#options;
    // A client that comes back with what it has adds nothing.
    const isNew = ({ hostname }: HeldPipe): boolean => !client.held.some((held) => held.hostname === hostname);
    if (isAlone || !pipes.some(isNew)) return null;
    try {
      const { maxPipesPerOwner } = limits;
      // Whoever is far below it is not looked at name by name.
      // The new ones may be missing there.
      const most = (await registry.countBound(client.identity.ownerId)) + pipes.filter(isNew).length;
      if (most > maxPipesPerOwner) await checkClusterPipes(client, pipes, this.#lists, maxPipesPerOwner);
      return null;
    } catch (error) {
      return refusalOf(pipes[0]?.name ?? "", asDuplexityError(error));
    }
  }

  /** Why a dialer of this client may not go on any more. */
  #goneReason(client: ClientRecord): DuplexityError | null {
    return client.ended ?? (client.isLeaving ? lost("The client has left") : null);
  }

  /** Its token or account may have ended before anybody could see that it is here. */
  #endReason(client: ClientRecord): DuplexityError | null {
    this.#options.judge(client);
    return client.ended;
  }

  /** What has become of the client's right to `pipes` while they were registered. */
  #refusalOf(client: ClientRecord, pipes: readonly HeldPipe[]): PipeResult | null {
    for (const { name, hostname } of pipes) {
      try {
        this.#options.doors.checkPipe(client, hostname);
      } catch (error) {
        return refusalOf(name, asDuplexityError(error));
      }
    }
    return null;
  }

  #refuse(dialer: DialerSocket, client: ClientRecord, refusals: readonly PipeResult[]): void {
    this.#tell(client, refusals);
    const [first] = refusals;
    const refused =
      first?.status === "refused" ? first : { code: "DPX_INTERNAL" as const, message: "No pipe was given" };
    dialer.refuse(new DuplexityError(refused.code, refused.message));
    this.#options.lives.dropIfUnused(client);
  }

  #tell(client: ClientRecord, pipes: readonly PipeResult[]): void {
    client.control?.send({ type: "pipesAreRegisteredResponse", clientId: client.clientId, pipes });
  }
}
