// One large body down and up, by curl.

import { join } from "node:path";
import { download, upload } from "../load.ts";
import type { Scenario } from "../scenario.ts";

export const down: Scenario = {
  name: "down",
  title: "one large download (curl)",
  endpoints: ["direct", "haproxy", "tunnel"],
  bars: [
    {
      what: "1 GiB down: CPU",
      metric: "cpu",
      against: "haproxy",
      direction: "atMost",
      must: 3.2,
      aim: 2.2,
      unit: "× haproxy",
    },
    {
      what: "1 GiB down: wall",
      metric: "wall",
      against: "haproxy",
      direction: "atMost",
      must: 2.3,
      aim: 1.6,
      unit: "× haproxy",
    },
  ],
  run: (endpoint, { bytes }) => download(endpoint, bytes),
};

export const up: Scenario = {
  name: "up",
  title: "one large upload (curl -T)",
  endpoints: ["direct", "haproxy", "tunnel"],
  bars: [
    {
      what: "1 GiB up: wall",
      metric: "wall",
      against: "haproxy",
      direction: "atMost",
      must: 2.8,
      aim: 2,
      unit: "× haproxy",
    },
  ],
  // The origin's own sparse file is as good a source as any.
  run: (endpoint, { bytes, folder }) => upload(endpoint, bytes, join(folder, "files", "large")),
};
