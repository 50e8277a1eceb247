// The NDJSON that `--json` prints: one object a line, `"v":1`, `"type"`. Strict: anything else on stdout is a failure.

/** One line. Fields by name are `unknown` until one of the readers below has looked. */
export interface Line {
  readonly v: 1;
  readonly type: string;
  readonly [field: string]: unknown;
}

/** @throws {Error} when `text` is not one JSON object with `v` 1 and a `type`. */
export function parseLine(text: string): Line {
  const value: unknown = JSON.parse(text);
  if (!isLine(value)) throw new Error(`Not a line of --json: ${text}`);
  return value;
}

export function textOf(line: Line, field: string): string {
  const value = line[field];
  if (typeof value !== "string") throw new Error(`"${field}" is not a text in ${JSON.stringify(line)}`);
  return value;
}

export function numberOf(line: Line, field: string): number {
  const value = line[field];
  if (typeof value !== "number") throw new Error(`"${field}" is not a number in ${JSON.stringify(line)}`);
  return value;
}

export interface PipeLine {
  readonly name: string;
  readonly hostname: string;
  readonly url: string;
  readonly target: string;
}

/** The pipes of a `ready` line. */
export function pipesOf(line: Line): readonly PipeLine[] {
  const { pipes } = line;
  if (!Array.isArray(pipes)) throw new Error(`No pipes in ${JSON.stringify(line)}`);
  const found: unknown[] = pipes;
  return found.map((pipe) => {
    if (!isPipeLine(pipe)) throw new Error(`Not a pipe: ${JSON.stringify(pipe)}`);
    return pipe;
  });
}

function isLine(value: unknown): value is Line {
  return isObject(value) && value.v === 1 && typeof value.type === "string";
}

function isPipeLine(value: unknown): value is PipeLine {
  return isObject(value) && ["name", "hostname", "url", "target"].every((field) => typeof value[field] === "string");
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
