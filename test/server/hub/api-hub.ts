// One hub as the API sees the clients of all of them. There is no other that could be asked.

import type { ApiHub } from "../../../src/server/api/index.ts";
import type { Hub } from "../../../src/server/hub/index.ts";

export function apiHub(hub: Hub): ApiHub {
  return {
    list: (identity) => hub.list(identity),
    find: (who) => hub.find(who),
    everybody: () => hub.everybody(),
    checkHeard: async () => {},
    kick: (kick) => hub.kick(kick),
    enforce: (ban) => hub.enforce(ban),
    judgeAll: () => hub.judgeAll(),
  };
}
