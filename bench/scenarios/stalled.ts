// Readers that ask for a large body and then read nothing: what they cost each process, and a neighbour pipe meanwhile.

import { join } from "node:path";
import type { Scenario } from "../scenario.ts";
import { measureStalled } from "../stalled-readers.ts";
import { startTunnel } from "../tunnel.ts";

const growthBar = (name: "server" | "client") => ({
  what: `100 stalled readers of 1 GiB: ${name}`,
  metric: `growthMB.${name}`,
  against: null,
  direction: "atMost" as const,
  must: 64,
  aim: 32,
  unit: "MB more",
});

export const stalled: Scenario = {
  name: "stalled",
  title: "100 readers that ask for 1 GiB and read nothing, while a neighbour pipe is used (wrk -c10)",
  endpoints: ["haproxy", "tunnel"],
  bars: [
    growthBar("server"),
    growthBar("client"),
    {
      what: "100 stalled readers: neighbour keeps",
      metric: "neighbour",
      against: null,
      direction: "atLeast",
      must: 0.8,
      aim: 0.8,
      unit: "of its rate",
    },
  ],
  async run(endpoint, environment) {
    if (endpoint.name === "haproxy") return measureStalled(endpoint, environment);
    // Fresh processes each time: memory that an earlier run has touched would hide the growth.
    const { node = environment.tunnel.node } = endpoint;
    const options = { folder: join(environment.folder, "stalled"), node };
    const fresh = await startTunnel(endpoint.name, options, environment.origin);
    try {
      return await measureStalled(fresh.endpoint, environment);
    } finally {
      await fresh.stop();
    }
  },
};
