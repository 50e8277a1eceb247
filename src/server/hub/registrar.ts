// Registers a client's pipes: all of them or none, or as many as can be where the client wants that. What was made on the way
// to a refusal is undone, also for the client that lost a name on that way.

import {
  asDuplexityError,
  DuplexityError,
  hostnameOf,
  type PipeRequest,
  type PipeResult,
} from "../../protocol/index.ts";
import type { Registration, Registry, RegistryRecord } from "../backend/registry.ts";
import { outwardOf } from "../outward.ts";
import type { Route } from "../routes.ts";
import { checkGate } from "./check-gate.ts";
import type { ClientRecord, HeldPipe } from "./client-record.ts";
import { FINAL_CODES } from "./final-codes.ts";
import { routeOf } from "./route-table.ts";

/** Opens and closes public TCP ports; the proxy has them. */
export interface PortOpener {
  open(route: Route): Promise<void>;
}

/** TCP ports that are tried for one pipe when something else on the machine has them. */
const MAX_PORT_TRIES = 8;
/** So many refusals are told: each repeats a name, and all of them have to fit into one message. */
const MAX_REFUSALS = 8;

export interface RegistrarOptions {
  readonly registry: Registry;
  readonly nodeId: string;
  readonly domain: string;
  readonly maxPipes: number;
  readonly ports: PortOpener | null;
  /** Whether visitors can sign in with this server. @default false */
  readonly canSignIn?: boolean;
  /** @throws {DuplexityError} why `client` may not have `hostname`. */
  readonly check: (client: ClientRecord, hostname: string) => void;
  /** Whether an owner has gone for good, and its names with it. @throws {DuplexityError} `DPX_STORE` */
  readonly isGone: (ownerId: string) => Promise<boolean>;
  /** What a visitor opens. */
  readonly urlOf: (hostname: string, tcpPort: number | undefined) => string;
  /** Whoever lost a name to a client that was refused holds it again, at a new epoch. */
  readonly onGivenBack: (record: RegistryRecord) => Promise<void>;
}

export interface RegisterOptions {
  readonly wantsReports: boolean;
  /** Whether some of the pipes are of use to the client without the others. */
  readonly isPartial: boolean;
}

export type RegisterOutcome =
  | {
      readonly status: "registered";
      readonly pipes: readonly HeldPipe[];
      /** Of the others, if it could be partial. */
      readonly refusals: readonly PipeResult[];
      /** Records of those that held one of the names until now: the owner's other clients, or this one over another hub. */
      readonly replaced: readonly RegistryRecord[];
      /** Takes it all back, for a client that left meanwhile. */
      undo(): Promise<void>;
    }
  | { readonly status: "refused"; readonly refusals: readonly PipeResult[] };

interface Wanted {
  readonly request: PipeRequest;
  readonly hostname: string;
}

interface Made {
  readonly wanted: Wanted;
  readonly record: RegistryRecord;
  readonly replaced: RegistryRecord | null;
}

export class Registrar {
  readonly #options: RegistrarOptions;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Never rejects: what goes wrong is a refusal. */
  async register(
    client: ClientRecord,
    requests: readonly PipeRequest[],
    { wantsReports, isPartial }: RegisterOptions,
  ): Promise<RegisterOutcome> {
    const { wanted, refusals } = this.#check(client, requests);
    if (refusals.length > 0 && !isPartial) return { status: "refused", refusals: refusals.slice(0, MAX_REFUSALS) };
    const made: Made[] = [];
    for (const pipe of wanted) {
      try {
        if (client.ended !== null) throw client.ended;
        made.push(await this.#registerOne(client, pipe, wantsReports));
      } catch (error) {
        const failure = asDuplexityError(error);
        refusals.push(refusalOf(pipe.request.name, failure));
        // Without a registry each of the others would fail as well, in its own time.
        if (isPartial && failure.code !== "DPX_STORE" && client.ended === null) continue;
        await this.#undo(client, made);
        return { status: "refused", refusals: refusals.slice(0, MAX_REFUSALS) };
      }
    }
    if (made.length === 0) return { status: "refused", refusals: refusals.slice(0, MAX_REFUSALS) };
    return {
      status: "registered",
      pipes: made.map(({ wanted: { request, hostname }, record }) => ({
        name: request.name,
        hostname,
        protocol: request.protocol,
        url: this.#options.urlOf(hostname, record.tcpPort),
        epoch: record.epoch,
      })),
      refusals: refusals.slice(0, MAX_REFUSALS),
      replaced: made.flatMap(({ replaced }) => replaced ?? []),
      undo: () => this.#undo(client, made),
    };
  }

  /** Gives up those of `pipes` that `client` still holds. Never rejects. */
  async release(
    client: ClientRecord,
    pipes: readonly Pick<HeldPipe, "hostname" | "epoch">[],
    reason: "left" | "lost",
  ): Promise<void> {
    for (const { hostname, epoch } of pipes) {
      // A registry that cannot be reached frees the name by itself when the lease ends.
      await this.#options.registry.remove(hostname, client.clientId, epoch, reason).catch(() => false);
    }
  }

  #check(client: ClientRecord, requests: readonly PipeRequest[]): { wanted: Wanted[]; refusals: PipeResult[] } {
    const wanted: Wanted[] = [];
    const refusals: PipeResult[] = [];
    const seen = new Set<string>();
    const { maxPipes, domain, canSignIn = false } = this.#options;
    for (const request of requests) {
      try {
        if (requests.length > maxPipes) {
          throw new DuplexityError(
            "DPX_PIPES_LIMIT",
            `Cannot register ${requests.length} pipes: a client may have ${maxPipes}`,
          );
        }
        const hostname = hostnameOf(request.name, domain);
        if (seen.has(hostname)) throw new DuplexityError("DPX_USAGE", `Cannot register "${request.name}" twice`);
        seen.add(hostname);
        checkGate(request, canSignIn);
        this.#options.check(client, hostname);
        wanted.push({ request, hostname });
      } catch (error) {
        refusals.push(refusalOf(request.name, asDuplexityError(error)));
      }
    }
    return { wanted, refusals };
  }

  async #registerOne(client: ClientRecord, wanted: Wanted, wantsReports: boolean): Promise<Made> {
    const { registry, nodeId, isGone } = this.#options;
    const { ownerId, ownerName } = client.identity;
    const { hostname, request } = wanted;
    const { protocol, name, gate } = request;
    const { clientId } = client;
    const fields = { hostname, protocol, clientId, ownerId, ownerName, nodeId, wantsReports };
    let registration: Registration = gate === undefined ? fields : { ...fields, gate };
    const avoidPorts: number[] = [];
    let made: Made | undefined;
    let replaced: RegistryRecord | null = null;
    try {
      for (;;) {
        const result = await registry.register({ ...registration, avoidPorts });
        if (result.status === "taken") {
          const { graceOf } = result;
          // Once: it may be another's by the next time.
          const mayBeFree = graceOf !== null && registration.goneOwnerId === undefined;
          if (!mayBeFree || !(await isGone(graceOf))) throw nameTaken(name, result.ownerName, result.since);
          registration = { ...registration, goneOwnerId: graceOf };
          continue;
        }
        const { record } = result;
        replaced ??= result.replaced;
        made = { wanted, record, replaced };
        if (record.tcpPort === undefined || (await this.#canOpen(record, avoidPorts))) return made;
      }
    } catch (error) {
      if (made !== undefined) await this.#undo(client, [made]);
      throw error;
    }
  }

  /** Opens the record's port. False: something else on this machine has it, and the next one is to be tried. */
  async #canOpen(record: RegistryRecord, avoidPorts: number[]): Promise<boolean> {
    const { hostname, tcpPort } = record;
    const { ports } = this.#options;
    if (ports === null || tcpPort === undefined) {
      throw new DuplexityError("DPX_TCP_PORTS", `Cannot register "${hostname}": there are no TCP ports`);
    }
    try {
      await ports.open(routeOf(record));
      return true;
    } catch (error) {
      avoidPorts.push(tcpPort);
      if (avoidPorts.length >= MAX_PORT_TRIES) throw error;
      return false;
    }
  }

  /**
   * What the client held before stays its own; what it took goes back to its sister or its other hub; what was away is away
   * again; the rest is free.
   */
  async #undo(client: ClientRecord, made: readonly Made[]): Promise<void> {
    const { clientId } = client;
    const isGoing = client.isLeaving || (client.ended !== null && FINAL_CODES.has(client.ended.code));
    for (const { record, replaced } of made) {
      const { hostname, epoch } = record;
      const isOld = client.held.some((pipe) => pipe.hostname === hostname && pipe.epoch === epoch);
      if (isOld) continue;
      const isFromSister = replaced !== null && replaced.clientId !== clientId;
      const wasOwn = replaced !== null && !isFromSister && !isGoing;
      if (isFromSister || (wasOwn && replaced.state === "up")) await this.#giveBack(record, replaced);
      else await this.release(client, [record], wasOwn ? "lost" : "left");
    }
  }

  async #giveBack(record: RegistryRecord, replaced: RegistryRecord): Promise<void> {
    // A third one of the same owner may have taken it meanwhile: then it is not ours to give.
    const current = await this.#options.registry.locate(record.hostname).catch(() => null);
    if (current?.clientId !== record.clientId || current.epoch !== record.epoch) return;
    const result = await this.#options.registry.register(replaced).catch(() => null);
    if (result?.status === "registered") await this.#options.onGivenBack(result.record);
  }
}

function nameTaken(name: string, ownerName: string, since: number): DuplexityError {
  const message = `Cannot register "${name}": ${ownerName} holds it since ${new Date(since).toISOString()}`;
  return new DuplexityError("DPX_NAME_TAKEN", message, { hint: "Take another name." });
}

/** `error` as the client is told of it. */
export function refusalOf(name: string, error: DuplexityError): PipeResult {
  const { code, message, hint } = outwardOf(error);
  return { status: "refused", name, code, message, ...(hint === undefined ? {} : { hint }) };
}
