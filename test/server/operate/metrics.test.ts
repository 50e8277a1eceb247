// What a scraper reads off a whole server, and what a scrape may not tell.

import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { forward } from "../../../src/client/index.ts";
import { type Server, serve } from "../../../src/server/index.ts";
import { startHttpOrigin } from "../../support/http-origin.ts";
import { useStage } from "../../support/stage.ts";
import { RawVisitor, visit } from "../../support/visitor.ts";
import { poll } from "../../support/wait.ts";

const stage = useStage();
const ANY = { host: "127.0.0.1", port: 0 };

async function start() {
  const server = await serve({ identity: { kind: "no-auth" }, listen: ANY, internalListen: ANY });
  stage.defer(() => server.close());
  const origin = await startHttpOrigin(stage, "hello");
  const tunnel = await forward(origin.target, { server: server.publicUrl, name: "cat1" });
  stage.defer(() => tunnel.close());
  return { server, port: Number(new URL(server.publicUrl).port) };
}

/** Values by `name{labels}`. */
async function scrape({ internalUrl }: Server): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${internalUrl}/metrics`);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  const lines = (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

describe("/metrics", () => {
  it("counts requests by status, their duration and their bytes", async () => {
    const { server, port } = await start();
    for (let round = 0; round < 3; round += 1) await visit(port, "cat1.localhost", "/hello");
    await visit(port, "nobody.localhost", "/");
    const found = await poll(
      async () => {
        const values = await scrape(server);
        return values.get('duplexity_visitor_connections{protocol="http"}') === 0 ? values : null;
      },
      5_000,
      "the visitors' connections to end",
    );
    expect(found.get('duplexity_requests_total{status="2xx"}')).toBe(3);
    expect(found.get('duplexity_requests_total{status="4xx"}')).toBe(1);
    expect(found.get("duplexity_request_failures_total")).toBe(1);
    expect(found.get("duplexity_request_duration_seconds_count")).toBe(4);
    expect(found.get('duplexity_request_duration_seconds_bucket{le="+Inf"}')).toBe(4);
    expect(found.get("duplexity_request_duration_seconds_sum")).toBeGreaterThan(0);
    expect(found.get('duplexity_visitor_received_bytes_total{protocol="http"}')).toBeGreaterThan(4 * 30);
    expect(found.get('duplexity_visitor_sent_bytes_total{protocol="http"}')).toBeGreaterThan(4 * 30);
  });

  it("shows what is open now, and the process", async () => {
    const { server, port } = await start();
    const visitor = await RawVisitor.open(stage, port);
    visitor.write("GET /hello HTTP/1.1\r\nHost: cat1.localhost\r\n\r\n");
    await visitor.readUntil("hello");
    const found = await scrape(server);
    expect(found.get("duplexity_clients")).toBe(1);
    expect(found.get("duplexity_links")).toBe(1);
    expect(found.get("duplexity_control_sockets")).toBe(1);
    expect(found.get("duplexity_routes")).toBe(1);
    expect(found.get('duplexity_visitor_connections{protocol="http"}')).toBe(1);
    expect(found.get("duplexity_draining")).toBe(0);
    expect(found.get("duplexity_registry_failures_total")).toBe(0);
    expect(found.get("duplexity_store_failures_total")).toBe(0);
    expect([...found.keys()]).toEqual(
      expect.arrayContaining(["process_resident_memory_bytes", "nodejs_eventloop_lag_p99_seconds"]),
    );
    const fds = found.get("process_open_fds") ?? 0;
    expect([fds > 3, fds < (found.get("process_max_fds") ?? 0)]).toEqual([true, true]);
    // These would go through all sockets at each scrape.
    expect([...found.keys()].filter((name) => /active_(handles|requests|resources)/.test(name))).toEqual([]);
    // What a connection that is still open has sent counts already.
    expect(found.get('duplexity_visitor_sent_bytes_total{protocol="http"}')).toBeGreaterThan(0);
  });

  it("names no pipe, client or person, whatever visitors ask for", async () => {
    const { server, port } = await start();
    await visit(port, "cat1.localhost", "/secret-path");
    const before = (await scrape(server)).size;
    for (let index = 0; index < 20; index += 1) await visit(port, `stranger${index}.localhost`, "/");
    const text = await (await fetch(`${server.internalUrl}/metrics`)).text();
    expect(text).not.toMatch(/cat1|secret-path|stranger|localhost/);
    // The collector may run between the two, and shows its kinds then.
    const ours = (all: string) => all.split("\n").filter((line) => line.startsWith("duplexity_")).length;
    expect(ours(text)).toBe(ours(await (await fetch(`${server.internalUrl}/metrics`)).text()));
    expect(before).toBeGreaterThan(20);
  });

  it("has every figure in docs/operating.md", async () => {
    const { server } = await start();
    const docs = await readFile(new URL("../../../docs/operating.md", import.meta.url), "utf8");
    const names = new Set([...(await scrape(server)).keys()].map((key) => /^duplexity_(\w+)/.exec(key)?.[1] ?? ""));
    names.delete("");
    for (const name of names) expect(docs).toMatch(new RegExp(`\\b${name.replace(/_(bucket|sum|count)$/, "")}\\b`));
    expect(names.size).toBeGreaterThan(20);
  });
});
