// Where a process spent its time: self time per function, summed from Node's .cpuprofile files.

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const SHOWN = 25;

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}
interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

/** The functions with the most self time of each profile in `folder`; idle time is left out. */
export function renderProfiles(folder: string): string {
  const names = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"));
  return names.map((name) => `${name}\n${renderProfile(readProfile(join(folder, name)))}`).join("\n\n");
}

function renderProfile(profile: Profile): string {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const selfMs = new Map<string, number>();
  profile.samples.forEach((id, index) => {
    const name = frames.get(id) ?? "?";
    selfMs.set(name, (selfMs.get(name) ?? 0) + (profile.timeDeltas[index] ?? 0) / 1000);
  });
  selfMs.delete("(idle)");
  const total = [...selfMs.values()].reduce((sum, ms) => sum + ms, 0);
  return [...selfMs]
    .sort(([, a], [, b]) => b - a)
    .slice(0, SHOWN)
    .map(([name, ms]) => `  ${((ms / total) * 100).toFixed(1).padStart(5)} %  ${ms.toFixed(0).padStart(7)} ms  ${name}`)
    .join("\n");
}

function nameOf({ functionName, url, lineNumber }: ProfileNode["callFrame"]): string {
  const place = url === "" ? "" : ` ${basename(url)}:${lineNumber + 1}`;
  return `${functionName || "(anonymous)"}${place}`;
}

function readProfile(file: string): Profile {
  const value: Profile = JSON.parse(readFileSync(file, "utf8"));
  return value;
}
