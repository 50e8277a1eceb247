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
import { serve } from "../../src/server/index.ts";
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

describe("deploy/kubernetes", () => {
  it("has pods without rights, with probes, that end after their drain", async () => {
    const documents = parseAllDocuments(await read("deploy/kubernetes/duplexity.yaml"));
    expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
    const [deployment, service, budget, policy] = documents.map((document) => document.toJS());
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
    const pod = deployment.spec.template.spec;
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
    const env: readonly { name: string; value?: string; valueFrom?: unknown }[] = container.env;
    expectKnown(env.map(({ name }) => name));
    for (const { name, value } of env) {
      if (/TOKEN|SECRET|REDIS/.test(name)) expect(value).toBeUndefined();
    }
    const drainMs = parseDuration(env.find(({ name }) => name === "DUPLEXITY_DRAIN")?.value ?? "") ?? Number.NaN;
    const waitMs = Number(/, (\d+)\)/.exec(container.lifecycle.preStop.exec.command.at(-1))?.[1]);
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(drainMs + waitMs);
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
