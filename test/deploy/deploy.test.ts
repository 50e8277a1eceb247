// What deploy/ promises, as far as it can be seen without a Docker engine or a cluster: the image's steps and rights, the
// manifests' probes and times, the unit by systemd's own eyes.

import { execFile } from "node:child_process";
import { access, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { SERVE_FLAGS, variableOf } from "../../src/cli/flags.ts";
import { parseDuration } from "../../src/cli/units.ts";
import { NODE_ROLES } from "../../src/server/backend/index.ts";
import { serve } from "../../src/server/index.ts";
import { runDuplexity } from "../support/duplexity.ts";
import { useStage } from "../support/stage.ts";

const execute = promisify(execFile);
const stage = useStage();
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEFAULT_DRAIN_S = 30;
const SECRETS = ["DUPLEXITY_ADMIN_TOKEN", "DUPLEXITY_CLUSTER_SECRET"];

const read = (path: string): Promise<string> => readFile(join(ROOT, path), "utf8");

/** Settings that a start would read; anything else would be set for nobody. */
function expectKnown(variables: readonly string[]): void {
  const known = new Set([...SERVE_FLAGS.map(({ key }) => variableOf(key)), ...SECRETS]);
  expect(variables.filter((name) => name.startsWith("DUPLEXITY_") && !known.has(name))).toEqual([]);
}

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

async function dockerfile(): Promise<readonly Instruction[]> {
  const text = (await read("deploy/Dockerfile")).replace(/^#.*\n/gm, "").replace(/\\\n/g, " ");
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.map((line) => {
    const [, name = "", rest = ""] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
    return { name, rest: rest.trim() };
  });
}

describe("deploy/Dockerfile", () => {
  it("copies what is there, and runs as a user by number", async () => {
    const steps = await dockerfile();
    const last = steps.slice(steps.findLastIndex(({ name }) => name === "FROM"));
    expect(last.find(({ name }) => name === "USER")?.rest).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    const sources = steps
      .filter(({ name, rest }) => name === "COPY" && !rest.startsWith("--from"))
      .flatMap(({ rest }) => rest.split(" ").slice(0, -1));
    expect(sources).toContain("src");
    for (const source of sources) await access(join(ROOT, source));
    const ignored = await read(".dockerignore");
    for (const source of sources) expect(ignored).toContain(`\n!${source.replace("./", "")}\n`);
    const variables = steps.filter(({ name }) => name === "ENV").flatMap(({ rest }) => rest.match(/\w+(?==)/g) ?? []);
    expect(variables).toContain("DUPLEXITY_DATA");
    expectKnown(variables);
  });

  it("has a health check that tells a server from none", async () => {
    const [, json = ""] =
      /CMD (\[.*\])$/.exec((await dockerfile()).find(({ name }) => name === "HEALTHCHECK")?.rest ?? "") ?? [];
    const command: readonly string[] = JSON.parse(json);
    const any = { host: "127.0.0.1", port: 0 };
    const server = await serve({ identity: { kind: "no-auth" }, listen: any, internalListen: any });
    stage.defer(() => server.close());
    const check = () => {
      const [, ...args] = command.map((part) => part.replace("http://127.0.0.1:7071", server.internalUrl));
      return execute(process.execPath, args);
    };
    await check();
    await server.close();
    await expect(check()).rejects.toMatchObject({ code: 1 });
  });
});

/** Each of a file's objects, as kubectl would read it. */
async function manifests(file: string) {
  const documents = parseAllDocuments(await read(`deploy/kubernetes/${file}`));
  expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
  return documents.map((document) => document.toJS());
}

type Variables = readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];

/** Without rights, with probes, known settings and secrets from elsewhere, and ended after its drain. */
function expectPod(pod: Awaited<ReturnType<typeof manifests>>[number], shared: Variables): void {
  expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: expect.any(Number) });
  const [container] = pod.containers;
  expect(container.securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  expect(container.readinessProbe.httpGet).toEqual({ path: "/readyz?exclude=store", port: "internal" });
  expect(container.livenessProbe.httpGet).toEqual({ path: "/healthz", port: "internal" });
  expect(container.ports.map(({ name }: { name: string }) => name)).toEqual(["public", "internal"]);
  const env: Variables = [...shared, ...container.env];
  expectKnown(env.map(({ name }) => name));
  for (const { name, value } of env) {
    if (/TOKEN|SECRET|REDIS/.test(name)) expect(value).toBeUndefined();
  }
  const drainMs = parseDuration(env.find(({ name }) => name === "DUPLEXITY_DRAIN")?.value ?? "") ?? Number.NaN;
  const waitMs = Number(/, (\d+)\)/.exec(container.lifecycle.preStop.exec.command.at(-1))?.[1]);
  expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(drainMs + waitMs);
}

describe("deploy/kubernetes", () => {
  it("has pods without rights, with probes, that end after their drain", async () => {
    const [deployment, service, budget, policy] = await manifests("duplexity.yaml");
    expect([deployment, service, budget, policy].map(({ kind }) => kind)).toEqual([
      ...["Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"],
    ]);
    const labels = { app: "duplexity" };
    for (const selector of [
      deployment.spec.selector.matchLabels,
      service.spec.selector,
      budget.spec.selector.matchLabels,
    ]) {
      expect(selector).toEqual(labels);
    }
    expect(deployment.spec.template.metadata.labels).toEqual(labels);
    expectPod(deployment.spec.template.spec, []);
  });

  it("has the same with a role for each, whose nodes find the backends by their names, and a start would take", async () => {
    const all = await manifests("split-roles.yaml");
    const of = (...kinds: readonly string[]) => all.filter(({ kind }) => kinds.includes(kind));
    const [{ data }] = of("ConfigMap");
    const shared = Object.entries<string>(data).map(([name, value]) => ({ name, value }));
    const secret = join(await stage.folder("secret"), "secret");
    await writeFile(secret, "cluster-secret-0123456789abcdef\n", { mode: 0o600 });
    const sets = of("Deployment", "StatefulSet");
    for (const { metadata, spec } of sets) {
      const { template, selector } = spec;
      expect(metadata.name).toBe(`duplexity-${template.metadata.labels.role}`);
      expect(template.metadata.labels).toEqual(selector.matchLabels);
      expect(of("PodDisruptionBudget").map((budget) => budget.spec.selector)).toContainEqual(selector);
      expectPod(template.spec, shared);
      const [container] = template.spec.containers;
      const own: Variables = container.env;
      const values = [...shared, ...own].flatMap(({ name, value }) =>
        value === undefined ? [] : [[name, value.replace("$(POD_IP)", "10.1.2.3")]],
      );
      const env = { ...Object.fromEntries(values), DUPLEXITY_CLUSTER_SECRET_FILE: secret };
      const hasRedis = own.some(({ name }) => name === "DUPLEXITY_REDIS");
      const redis = hasRedis ? ["--redis", "redis://127.0.0.1:6379"] : [];
      const printed = await runDuplexity(stage, [...container.args, ...redis, "--print-config"], { env });
      expect([printed.status, printed.stderr]).toEqual([0, ""]);
    }
    expect(sets.map(({ spec }) => spec.template.metadata.labels.role).sort()).toEqual([...NODE_ROLES].sort());
    const [backends] = of("StatefulSet");
    const names = Array.from({ length: backends.spec.replicas }, (_none, number) => {
      const { name } = backends.metadata;
      return `http://${name}-${number}.${backends.spec.serviceName}:7071`;
    });
    for (const { spec } of of("Deployment")) {
      const env: Variables = spec.template.spec.containers[0].env;
      expect(env.find(({ name }) => name === "DUPLEXITY_BACKEND")?.value).toBe(names.join(","));
    }
    const services = of("Service").map(({ metadata, spec }) => [metadata.name, spec.selector, spec.clusterIP]);
    expect(services).toEqual([
      ["duplexity-backend", { app: "duplexity", role: "backend" }, "None"],
      ["duplexity", { app: "duplexity", role: "proxy" }, undefined],
    ]);
  });
});

describe("deploy/duplexity.service", () => {
  it("passes systemd's own check, has few rights, and ends after its drain", async () => {
    const text = await read("deploy/duplexity.service");
    // The program is where npm puts it; here it is not installed.
    const unit = join(await stage.folder("unit"), "duplexity.service");
    await writeFile(unit, text.replace("/usr/bin/duplexity", process.execPath));
    const verified = await execute("systemd-analyze", ["verify", "--man=no", unit]);
    expect(verified.stderr).toBe("");
    const security = await execute("systemd-analyze", ["security", "--offline=true", "--threshold=25", unit]);
    expect(security.stdout).toMatch(/Overall exposure level for duplexity\.service: \d\.\d OK/);
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1])).toBeGreaterThan(DEFAULT_DRAIN_S);
    expectKnown([...text.matchAll(/^Environment=(\w+)=/gm)].map(([, name = ""]) => name));
    expect(text).toContain("ExecStart=/usr/bin/duplexity serve --config /etc/duplexity/duplexity.json\n");
  });
});
