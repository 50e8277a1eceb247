// `duplexity serve`: flags to ServeOptions, then a server until somebody stops
// it. What a server does is src/server's business.

import { rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Claim, NodeRole, ServeLimits, ServeOptions } from "../../server/index.ts";
import { tuneCollector } from "../collector.ts";
import { type CommandContext, readSettings } from "../context.ts";
import { LIMIT_FLAGS, SERVE_FLAGS } from "../flags.ts";
import { aborted, EXIT_INTERRUPTED, watchInterrupts } from "../interrupts.ts";
import { isLogFormat, isLogLevel, LOG_FORMATS, LOG_LEVELS, openServeLog } from "../output/serve-log.ts";
import { createServeView } from "../output/serve-view.ts";
import { FILE_MODE } from "../private-files.ts";
import { readCluster, readIdentity } from "../serve-identity.ts";
import { readInternalTls, readTls } from "../serve-tls.ts";
import type { SettingsValues } from "../settings-values.ts";
import { parseListenAddress, parsePortRange, parseServerUrl } from "../units.ts";

const DEFAULT_DRAIN_MS = 30_000;
const ROLE_NAMES: readonly NodeRole[] = ["auth", "backend", "hub", "proxy"];
const ROLES = "auth, backend, hub and proxy, with commas between them";
/** In the data folder: the link by which the first admin is made. */
const CLAIM_FILE = "claim-link";

export async function run(context: CommandContext): Promise<number> {
  const { values } = await readSettings(context, "serve", SERVE_FLAGS);
  const level = values.parse("logLevel", LOG_LEVELS.join(", "), (text) => (isLogLevel(text) ? text : null));
  const drainMs = values.duration("drain") ?? DEFAULT_DRAIN_MS;
  const { stdout, stderr, env, version } = context;
  const formats = LOG_FORMATS.join(" or ");
  const format = values.parse("logFormat", formats, (text) => (isLogFormat(text) ? text : null));
  const logFormat = format ?? (stderr.isTTY ? "pretty" : "json");
  const noColor = values.isOn("noColor");
  const log = await openServeLog({ stderr, env, noColor, level: level ?? "info", format: logFormat });
  const isJson = values.isOn("json");
  const view = createServeView({ ...{ stdout, stderr, env, version, noColor, isJson }, log, logFormat });
  const options = { ...readOptions(context, values), log };
  if (values.isOn("printConfig")) return printConfig(context, values, options);
  tuneCollector();
  const interrupts = watchInterrupts();
  const { serve } = await import("../../server/index.ts");
  const starting = serve(options);
  // It may wait for its Redis: whoever ends it meanwhile is not to wait, too.
  const server = await Promise.race([starting, aborted(interrupts.first)]);
  if (server === undefined) {
    void starting.then(
      (late) => late.close(),
      () => {},
    );
    return EXIT_INTERRUPTED;
  }
  // Read one by one: a server's properties may be getters, which a spread would lose.
  const { publicUrl, internalUrl, domain, nodeId } = server;
  view.listening({ publicUrl, internalUrl, domain, nodeId, identity: options.identity.kind, ...tcpPortsOf(options) });
  const claimPath = claimPathOf(options);
  // One that an earlier process has left is of no use any more, used or not.
  if (claimPath !== null) rmSync(claimPath, { force: true });
  const { claim } = server;
  if (claim !== null) view.claim(claim, () => leaveClaim(claimPath, claim));

  await aborted(interrupts.first);
  view.draining(drainMs);
  await Promise.race([server.drain(drainMs), aborted(interrupts.second)]);
  if (interrupts.second.aborted) {
    // Not waited for: in this turn it resets the answers that would look complete if the process merely went.
    void server.close();
    return EXIT_INTERRUPTED;
  }
  view.stopped();
  return 0;
}

/** @throws {DuplexityError} `DPX_USAGE` as a start would: it is for finding out before one. */
async function printConfig(context: CommandContext, values: SettingsValues, options: ServeOptions): Promise<number> {
  const { resolveServeOptions } = await import("../../server/serve-options.ts");
  resolveServeOptions(options);
  const { configEntries } = await import("../serve-config.ts");
  context.stdout.write(`${JSON.stringify({ v: 1, config: configEntries(values, context) }, null, 2)}\n`);
  return 0;
}

function readOptions(context: CommandContext, values: SettingsValues): ServeOptions {
  const address = "an address such as 127.0.0.1:8080 or [::1]:8080";
  const listen = values.parse("listen", address, parseListenAddress);
  const internalListen = values.parse("internalListen", address, parseListenAddress);
  const publicUrl = values.parse("publicUrl", "an http:// or https:// address without a path", parseServerUrl);
  const tcpPorts = values.parse("tcpPorts", "ports such as 20000-20099", parsePortRange);
  const domain = values.text("domain");
  const roles = values.parse("roles", `some of ${ROLES}`, parseRoles);
  const tls = readTls(context, values);
  const internalTls = readInternalTls(context, values);
  const cluster = readCluster(context, values);
  return {
    identity: readIdentity(context, values),
    mayInternalBePublic: values.isOn("internalPublic"),
    ...(roles === undefined ? {} : { roles }),
    ...(cluster === undefined ? {} : { cluster }),
    trustProxy: values.list("trustProxy"),
    limits: readLimits(values),
    ...(listen === undefined ? {} : { listen }),
    ...(internalListen === undefined ? {} : { internalListen }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(tcpPorts === undefined ? {} : { tcpPorts }),
    ...(domain === undefined ? {} : { domain }),
    ...(tls === undefined ? {} : { tls }),
    ...(internalTls === undefined ? {} : { internalTls }),
  };
}

/** Which of them there are, and that each comes once, says the server. */
function parseRoles(text: string): readonly NodeRole[] | null {
  const words = text.split(",").map((word) => word.trim());
  const roles = words.flatMap((word) => ROLE_NAMES.find((role) => role === word) ?? []);
  return roles.length === words.length ? roles : null;
}

function claimPathOf({ identity }: ServeOptions): string | null {
  const isInFolder = identity.kind === "accounts" && identity.store.kind === "folder";
  return isInFolder ? join(identity.store.path, CLAIM_FILE) : null;
}

/**
 * For whoever has no terminal: a file beside the data, for its owner alone, until the link has ended. Answers its path; null
 * without a data folder.
 */
function leaveClaim(path: string | null, { url, ended }: Claim): string | null {
  if (path === null) return null;
  writeFileSync(path, `${url}\n`, { mode: FILE_MODE, flag: "wx" });
  // What cannot be removed opens nothing any more.
  void ended.then(() => rm(path, { force: true })).catch(() => {});
  return path;
}

function readLimits(values: SettingsValues): Partial<ServeLimits> {
  const limits: Partial<Record<keyof ServeLimits, number>> = {};
  for (const flag of LIMIT_FLAGS) {
    const value = values[flag.kind](flag.key);
    if (value !== undefined) limits[flag.limit] = value;
  }
  return limits;
}

function tcpPortsOf(options: ServeOptions): { tcpPorts?: string } {
  return options.tcpPorts === undefined ? {} : { tcpPorts: `${options.tcpPorts.from}-${options.tcpPorts.to}` };
}
