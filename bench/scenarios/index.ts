// Every scenario of the benchmark, in the order in which they run.

import type { Scenario } from "../scenario.ts";
import { clusterIdle } from "./cluster-idle.ts";
import { idle } from "./idle.ts";
import { latency } from "./latency.ts";
import { nodes } from "./nodes.ts";
import { relay } from "./relay.ts";
import { keepalive, newConnection, oneConnection } from "./requests.ts";
import { stalled } from "./stalled.ts";
import { down, up } from "./transfer.ts";

export const SCENARIOS: readonly Scenario[] = [
  keepalive,
  oneConnection,
  newConnection,
  down,
  up,
  latency,
  stalled,
  idle,
  relay,
  nodes,
  clusterIdle,
];
