// The benchmark: nginx as origin, and in turn the way straight to it, through haproxy, and through the tunnel.
// Prints tables and the bars, and writes everything as JSON to bench/results/. See docs/performance.md.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Endpoint, Sample } from "./endpoint.ts";
import { startHaproxy } from "./haproxy.ts";
import { nodeBinary } from "./node-binaries.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { type Origin, startOrigin } from "./origin.ts";
import { renderProfiles } from "./profile.ts";
import { judge, renderTable, renderVerdicts, type Verdict } from "./report.ts";
import type { Environment, Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/index.ts";
import type { Rounds } from "./statistics.ts";
import { startTunnel } from "./tunnel.ts";

const RESULTS = fileURLToPath(new URL("../../bench/results/", import.meta.url));

/** Endpoints that stay up for the whole benchmark, and how to end them. */
interface Usual {
  readonly endpoints: readonly Endpoint[];
  stop(): Promise<void>;
}

async function main(): Promise<void> {
  if (platform() !== "linux") throw new Error("The benchmark reads /proc: run it on Linux");
  const options = readOptions(process.argv.slice(2));
  if (options === null) return console.log(USAGE);
  const scenarios = chosen(options);
  const folder = mkdtempSync(join(tmpdir(), "duplexity-bench-"));
  const profileFolder = options.isProfiling ? join(RESULTS, `profile-${stamp()}`) : undefined;
  if (profileFolder !== undefined) mkdirSync(profileFolder, { recursive: true });

  const origin = await startOrigin(folder, options.bytes);
  const nodes = await Promise.all(options.nodes.map(nodeBinary));
  const [node = process.execPath] = nodes;
  const { seconds, bytes, idleClients, stalledReaders } = options;
  const tunnel = { folder: join(folder, "tunnel"), node };
  const environment: Environment = { origin, tunnel, folder, seconds, bytes, idleClients, stalledReaders };
  let usual: Usual | null = null;
  try {
    usual = await startUsual(folder, origin, options.isWithoutTunnel ? [] : nodes, profileFolder);
    const results = new Map<string, Rounds>();
    const verdicts: Verdict[] = [];
    for (const scenario of scenarios) {
      const rounds = await runScenario(scenario, usual.endpoints, environment, options.rounds);
      results.set(scenario.name, rounds);
      verdicts.push(...judge(scenario, rounds));
      console.log(`\n${renderTable(scenario, rounds)}`);
    }
    console.log(`\n${renderVerdicts(verdicts)}`);
    console.log(`\nWritten to ${write(options, nodes, results, verdicts)}`);
  } finally {
    await usual?.stop();
    await origin.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  if (profileFolder !== undefined) console.log(`\n${renderProfiles(profileFolder)}`);
}

function chosen({ only, isWithoutTunnel }: Options): readonly Scenario[] {
  const unknown = only.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
  if (unknown.length > 0) throw new Error(`No scenario "${unknown.join('", "')}"\n${USAGE}`);
  const named = SCENARIOS.filter((scenario) => only.length === 0 || only.includes(scenario.name));
  const isUsual = ({ endpoints, prepare }: Scenario) => endpoints.includes("haproxy") && prepare === undefined;
  return isWithoutTunnel ? named.filter(isUsual) : named;
}

async function startUsual(
  folder: string,
  origin: Origin,
  nodes: readonly string[],
  profileFolder: string | undefined,
): Promise<Usual> {
  const haproxy = await startHaproxy(folder, origin);
  const stops: (() => Promise<void>)[] = [() => haproxy.child.stop()];
  const direct: Endpoint = {
    name: "direct",
    port: origin.port,
    host: "localhost",
    neighbourHost: "localhost",
    sinkHost: "localhost",
    sinkPort: origin.sinkPort,
    processes: [],
  };
  const endpoints = [direct, haproxy.endpoint];
  const stop = async () => {
    for (const each of stops.reverse()) await each();
  };
  try {
    for (const [index, node] of nodes.entries()) {
      const name = index === 0 ? "tunnel" : `tunnel@${majorOf(node)}`;
      // Only the first is profiled: the others would write over its files.
      const profile = index === 0 ? profileFolder : undefined;
      const running = await startTunnel(name, { folder: join(folder, name), node, profileFolder: profile }, origin);
      stops.push(() => running.stop());
      endpoints.push(running.endpoint);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoints, stop };
}

/** Each round goes over all endpoints in turn, so that what disturbs the machine disturbs all of them. */
async function runScenario(
  scenario: Scenario,
  usual: readonly Endpoint[],
  environment: Environment,
  rounds: number,
): Promise<Rounds> {
  const own = await scenario.prepare?.(environment);
  const isWanted = (name: string) => scenario.endpoints.some((wanted) => wanted === name.split("@")[0]);
  const endpoints = [...usual.filter(({ name }) => isWanted(name)), ...(own?.endpoints ?? [])];
  const samples = new Map<string, Sample[]>(endpoints.map(({ name }) => [name, []]));
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const endpoint of endpoints) {
        process.stderr.write(`${scenario.name} ${round + 1}/${rounds} ${endpoint.name}\n`);
        samples.get(endpoint.name)?.push(await scenario.run(endpoint, environment));
      }
    }
  } finally {
    await own?.stop();
  }
  return samples;
}

/** Writes the run as JSON and answers the file's path. */
function write(
  options: Options,
  nodes: readonly string[],
  results: ReadonlyMap<string, Rounds>,
  verdicts: readonly Verdict[],
): string {
  const file = join(RESULTS, `${stamp()}.json`);
  const machine = {
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: cpus()[0]?.model ?? "?",
    cores: cpus().length,
  };
  const scenarios = Object.fromEntries([...results].map(([name, rounds]) => [name, Object.fromEntries(rounds)]));
  mkdirSync(RESULTS, { recursive: true });
  const versions = nodes.map((node) => execFileSync(node, ["--version"], { encoding: "utf8" }).trim());
  writeFileSync(file, `${JSON.stringify({ machine, nodes: versions, options, verdicts, scenarios }, null, 2)}\n`);
  return file;
}

function majorOf(node: string): string {
  return execFileSync(node, ["-p", "process.versions.node.split('.')[0]"], { encoding: "utf8" }).trim();
}

function stamp(): string {
  return new Date().toISOString().replace(/[:.]/g, "-");
}

await main();
