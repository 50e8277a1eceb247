// Which hostname belongs to whom, and where its client can be reached. One
// atomic step per call, so that a second implementation can be a script in Redis.

import type { PipeGate } from "../../protocol/index.ts";

export interface Registration {
  /** Canonical hostname. */
  readonly hostname: string;
  readonly protocol: "http" | "tcp";
  readonly clientId: string;
  /** Stable id of the identity that owns the name: compared, never shown. */
  readonly ownerId: string;
  /** How the owner may be shown to others: `ben@ci`, `key 3f9a…`. */
  readonly ownerName: string;
  /** The hub that holds the client's link. */
  readonly nodeId: string;
  readonly wantsReports: boolean;
  /** Who may come in. Left out: everybody. */
  readonly gate?: PipeGate;
  /** TCP ports that the hub could not open: something else on its machine has them. @default [] */
  readonly avoidPorts?: readonly number[];
  /** An owner that is no more: a name that is only in its grace is anybody's. @default nobody */
  readonly goneOwnerId?: string;
}

export interface RegistryRecord extends Registration {
  /** Grows each time that the name changes hands from one client or node to another; never goes back. */
  readonly epoch: number;
  readonly tcpPort?: number;
  readonly state: "up" | "away";
  /** Unix time in ms since when this client has held it. */
  readonly since: number;
  /** Unix time in ms at which the lease or, when away, the grace ends. */
  readonly expires: number;
}

export type RegisterResult =
  | {
      readonly status: "registered";
      readonly record: RegistryRecord;
      /**
       * Who held it until now, and had not said goodbye: another client of the same owner, whose session is to be ended with
       * DPX_REPLACED, or the same client over another node, or over this one if the name was away.
       */
      readonly replaced: RegistryRecord | null;
    }
  | {
      readonly status: "taken";
      readonly ownerName: string;
      readonly since: number;
      /** Its owner's id while no client has it and only the grace keeps it; else null. */
      readonly graceOf: string | null;
    };

/** A name as whoever registered it knows it. */
export interface Holding {
  readonly hostname: string;
  readonly clientId: string;
  readonly epoch: number;
}

/** Why a name was given up: `left` frees the route at once, `lost` leaves it `away`. In both the owner keeps the name for the grace. */
export type RemoveReason = "left" | "lost";

/** All methods may reject with a DuplexityError; none may hang. */
export interface Registry {
  /** Claims a name. The same client again renews and keeps its epoch. */
  register(registration: Registration): Promise<RegisterResult>;
  /**
   * Extends the leases of `held`, of however many clients; answers those that are not their client's any more.
   *
   * @param spreadMs Over so long many of them may be spread, so that what else this process does comes between them. @default 0
   */
  renewAll<T extends Holding>(held: readonly T[], spreadMs?: number): Promise<readonly T[]>;
  locate(hostname: string): Promise<RegistryRecord | null>;
  /** Gives a name up if `clientId` still holds it at `epoch`; else changes nothing and answers false. */
  remove(hostname: string, clientId: string, epoch: number, reason: RemoveReason): Promise<boolean>;
  /** Records of one owner, or of all when `ownerId` is null, at most `limit`. */
  list(ownerId: string | null, limit: number): Promise<readonly RegistryRecord[]>;
  /**
   * An owner has no more names that are up; it may have fewer. Costs the same however many they are. Those registered a
   * moment ago may be missing until their next renewal.
   */
  countBound(ownerId: string): Promise<number>;
  /** Calls `listener` with the hostname after each change of a record; returns the function that stops it. */
  watch(listener: (hostname: string, record: RegistryRecord | null) => void): () => void;
  close(): Promise<void>;
}
