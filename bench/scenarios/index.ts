// Every scenario of the benchmark, in the order in which they run.

import type { Scenario } from "../scenario.ts";
import { idle } from "./idle.ts";
import { latency } from "./latency.ts";
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
];
