// The registry as a node without the backend's role has it: every step is a call to a backend node, which says also what
// becomes of names. Remembers what it has told its watchers, so that they hear of each change once and never of an older one.

import { fields as checked } from "../../protocol/index.ts";
import type { BackendEvent, BackendLink } from "../calls/index.ts";
import { forEachAtMost } from "./at-most.ts";
import { isSameRecord, readCount, readRecord } from "./record-fields.ts";
import type { Holding, RegisterResult, Registration, Registry, RegistryRecord, RemoveReason } from "./registry.ts";

export interface RemoteRegistryOptions {
  readonly link: Pick<BackendLink, "call" | "onEvent" | "onGap">;
}

type Listener = (hostname: string, record: RegistryRecord | null) => void;

interface Known {
  readonly record: RegistryRecord;
  /**
   * Whether an answer has said so and the backend's own word of it is still to come: what comes before that word is
   * older.
   */
  readonly isAhead: boolean;
}

/** Names in one call. */
export const MAX_NAMES_IN_CALL = 1_000;
/** Names whose record is remembered. Beyond, the one that was heard of longest ago is forgotten. */
const MAX_KNOWN = 100_000;
/** Calls at once, when there are more names than fit into one. */
const MAX_CALLS = 2;

export class RemoteRegistry implements Registry {
  readonly #link: RemoteRegistryOptions["link"];
  readonly #known = new Map<string, Known>();
  readonly #listeners = new Set<Listener>();
  readonly #endings: readonly (() => void)[];
  #healing: Promise<void> | null = null;

  constructor({ link }: RemoteRegistryOptions) {
    this.#link = link;
    this.#endings = [link.onEvent((event) => this.#receive(event)), link.onGap(() => void this.#heal())];
  }

  async register(registration: Registration): Promise<RegisterResult> {
    const result = readResult(await this.#link.call("register", registration));
    if (result.status === "registered") this.#learn(result.record.hostname, result.record, true);
    return result;
  }

  async renewAll<T extends Holding>(held: readonly T[]): Promise<readonly T[]> {
    const lost = new Set<T>();
    await forEachAtMost(MAX_CALLS, batchesOf(held), async (batch) => {
      const told = batch.map(({ hostname, clientId, epoch }) => ({ hostname, clientId, epoch }));
      const answer = checked.readObject(await this.#link.call("renew", { held: told }), "answer");
      const indexes = checked.field(answer, "lost", checked.arrayReader(readCount, 0, MAX_NAMES_IN_CALL));
      for (const index of indexes) for (const holding of batch.slice(index, index + 1)) lost.add(holding);
    });
    // Renewed after its lease had ended: whoever watches has been told that it is away.
    const isBack = ({ hostname }: T): boolean => this.#known.get(hostname)?.record.state === "away";
    await this.#look(held.filter((holding) => !lost.has(holding) && isBack(holding)).map(({ hostname }) => hostname));
    return held.filter((holding) => lost.has(holding));
  }

  async locate(hostname: string): Promise<RegistryRecord | null> {
    const [record = null] = await this.#locate([hostname]);
    if (this.#known.has(hostname)) this.#learn(hostname, record, false);
    else if (record !== null) this.#remember(hostname, { record, isAhead: false });
    return record;
  }

  async remove(hostname: string, clientId: string, epoch: number, reason: RemoveReason): Promise<boolean> {
    const answer = checked.readObject(await this.#link.call("remove", { hostname, clientId, epoch, reason }), "answer");
    const isRemoved = checked.field(answer, "removed", checked.readBoolean);
    if (isRemoved) this.#learn(hostname, checked.field(answer, "record", readRecordOrNull), false);
    return isRemoved;
  }

  async list(ownerId: string | null, limit: number): Promise<readonly RegistryRecord[]> {
    const answer = checked.readObject(await this.#link.call("list", { ownerId, limit }), "answer");
    return checked.field(answer, "records", checked.arrayReader(readRecord, 0, limit));
  }

  async countBound(ownerId: string): Promise<number> {
    return checked.field(checked.readObject(await this.#link.call("count", { ownerId }), "answer"), "count", readCount);
  }

  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    for (const end of this.#endings) end();
    this.#listeners.clear();
    this.#known.clear();
  }

  async #locate(hostnames: readonly string[]): Promise<readonly (RegistryRecord | null)[]> {
    const answer = checked.readObject(await this.#link.call("locate", { hostnames }), "answer");
    return checked.field(answer, "records", checked.arrayReader(readRecordOrNull, hostnames.length, hostnames.length));
  }

  async #look(hostnames: readonly string[]): Promise<void> {
    await forEachAtMost(MAX_CALLS, batchesOf(hostnames), async (batch) => {
      const records = await this.#locate(batch);
      for (const [index, hostname] of batch.entries()) this.#learn(hostname, records[index] ?? null, false);
    });
  }

  /** Unasked word of the backend, in the order in which things happened. */
  #receive(event: BackendEvent): void {
    if (event.type !== "route") return;
    const { hostname, record: told } = event;
    const record = told === null ? null : readRecord(told, "record");
    const known = this.#known.get(hostname);
    if (known?.isAhead === true && (record === null || record.epoch <= known.record.epoch)) {
      if (record !== null && isSameRecord(record, known.record)) this.#remember(hostname, { record, isAhead: false });
      return;
    }
    if (known === undefined && record === null) this.#tell(hostname, null);
    else this.#learn(hostname, record, false);
  }

  /** Tells whoever watches, if that is news. */
  #learn(hostname: string, record: RegistryRecord | null, isAnswer: boolean): void {
    const known = this.#known.get(hostname);
    if (record === null) {
      this.#known.delete(hostname);
      if (known !== undefined) this.#tell(hostname, null);
      return;
    }
    if (known !== undefined && record.epoch < known.record.epoch) return;
    const isNews = known === undefined || !isSameRecord(record, known.record);
    this.#remember(hostname, { record, isAhead: isNews ? isAnswer : (known?.isAhead ?? false) });
    if (isNews) this.#tell(hostname, record);
  }

  #remember(hostname: string, known: Known): void {
    this.#known.delete(hostname);
    this.#known.set(hostname, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MAX_KNOWN) break;
      this.#known.delete(oldest);
    }
  }

  #tell(hostname: string, record: RegistryRecord | null): void {
    for (const listener of [...this.#listeners]) listener(hostname, record);
  }

  /** Something may have been missed. Never rejects: what cannot be asked now is asked again before it is used for long. */
  #heal(): Promise<void> {
    // Words that were still to come may be lost, too: none is waited for.
    for (const [hostname, known] of this.#known) this.#known.set(hostname, { ...known, isAhead: false });
    this.#healing ??= this.#look([...this.#known.keys()])
      .catch(() => {})
      .finally(() => {
        this.#healing = null;
      });
    return this.#healing;
  }
}

function readResult(value: unknown): RegisterResult {
  const answer = checked.readObject(value, "answer");
  if (checked.field(answer, "status", checked.oneOfReader(["registered", "taken"])) === "taken") {
    const ownerName = checked.field(answer, "ownerName", checked.readName);
    const graceOf = checked.field(answer, "graceOf", (owner, path) =>
      owner === null ? null : checked.readWord(owner, path),
    );
    return { status: "taken", ownerName, since: checked.field(answer, "since", readCount), graceOf };
  }
  const record = checked.field(answer, "record", readRecord);
  return { status: "registered", record, replaced: checked.field(answer, "replaced", readRecordOrNull) };
}

function readRecordOrNull(value: unknown, path: string): RegistryRecord | null {
  return value === null ? null : readRecord(value, path);
}

function batchesOf<T>(items: readonly T[]): readonly (readonly T[])[] {
  const count = Math.ceil(items.length / MAX_NAMES_IN_CALL);
  return Array.from({ length: count }, (_, at) => items.slice(at * MAX_NAMES_IN_CALL, (at + 1) * MAX_NAMES_IN_CALL));
}
