// Small requests: many connections kept alive, one connection, and a new connection for each request.

import { wrk } from "../load.ts";
import type { Scenario } from "../scenario.ts";

export const keepalive: Scenario = {
  name: "keepalive",
  title: "keep-alive, 50 connections, 36-byte answer (wrk -t1 -c50)",
  endpoints: ["direct", "haproxy", "tunnel"],
  bars: [
    {
      what: "CPU a request, server + client, keep-alive c50",
      metric: "cpu",
      against: "haproxy",
      direction: "atMost",
      must: 2.2,
      aim: 1.6,
      unit: "× haproxy",
    },
    {
      what: "req/s, keep-alive c50",
      metric: "rps",
      against: "haproxy",
      direction: "atLeast",
      must: 0.5,
      aim: 0.7,
      unit: "× haproxy",
    },
  ],
  run: (endpoint, { seconds }) => wrk(endpoint, { connections: 50, seconds }),
};

export const oneConnection: Scenario = {
  name: "one",
  title: "one connection kept alive (wrk -t1 -c1)",
  endpoints: ["direct", "haproxy", "tunnel"],
  bars: [
    {
      what: "p50 with one connection",
      metric: "p50",
      against: "direct",
      direction: "atMost",
      must: 2.5,
      aim: 2,
      unit: "× direct",
    },
  ],
  run: (endpoint, { seconds }) => wrk(endpoint, { connections: 1, seconds }),
};

export const newConnection: Scenario = {
  name: "new",
  title: "a new connection for each request (wrk -t1 -c50, Connection: close)",
  endpoints: ["direct", "haproxy", "tunnel"],
  bars: [
    {
      what: "req/s, new connection each",
      metric: "rps",
      against: "haproxy",
      direction: "atLeast",
      must: 0.4,
      aim: 0.6,
      unit: "× haproxy",
    },
  ],
  run: (endpoint, { seconds }) => wrk(endpoint, { connections: 50, seconds, isClosing: true }),
};
