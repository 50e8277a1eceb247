// What Redis says of itself (INFO), and whether it can keep what a server keeps there. Asks nothing itself.

import { DuplexityError } from "../../protocol/index.ts";

const MIN_VERSION = { major: 6, minor: 2 };

export interface RedisFacts {
  readonly isCluster: boolean;
  /** Whether it follows another Redis, and takes no writes. */
  readonly isReplica: boolean;
  /** Whether it has messages that go to one shard only (SPUBLISH, Redis 7). */
  readonly hasShardedTopics: boolean;
}

/**
 * @param info The answer to INFO.
 * @param shown The address, as it may be shown.
 * @throws {DuplexityError} `DPX_USAGE` if it is a Sentinel, older than 6.2, or may drop keys when its memory is full: accounts
 * and bans would be among them.
 */
export function factsOf(info: string, shown: string): RedisFacts {
  if (fieldIn(info, "redis_mode") === "sentinel") {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot use Redis at "${shown}": it is a Sentinel, which keeps nothing itself`,
      {
        hint: "Name what it watches: redis+sentinel://HOST[:PORT],…/NAME",
      },
    );
  }
  const { version, major, minor } = versionIn(info);
  if (major < MIN_VERSION.major || (major === MIN_VERSION.major && minor < MIN_VERSION.minor)) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot use Redis at "${shown}": it is version ${version}, wanted 6.2 or newer`,
    );
  }
  const policy = fieldIn(info, "maxmemory_policy");
  if (Number(fieldIn(info, "maxmemory") || 0) > 0 && policy !== "" && policy !== "noeviction") {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot use Redis at "${shown}": with maxmemory-policy ${policy} it drops keys when its memory is full, wanted noeviction`,
      { hint: "Accounts and bans lie there. Set it: redis-cli config set maxmemory-policy noeviction" },
    );
  }
  return {
    isCluster: fieldIn(info, "cluster_enabled") === "1",
    isReplica: fieldIn(info, "role") === "slave",
    hasShardedTopics: major >= 7,
  };
}

/** A Redis that does not say its version is taken for one that is new enough. */
function versionIn(info: string): { version: string; major: number; minor: number } {
  const version = fieldIn(info, "redis_version");
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined || minor === undefined) return { version, ...MIN_VERSION };
  return { version, major: Number(major), minor: Number(minor) };
}

/** Empty if it is not told. */
function fieldIn(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";
}
