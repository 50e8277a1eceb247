// Whether what a process holds grows over time: samples by name, and the judgement over them. Reads no process itself.

/** Figures of one process at one moment, by name. */
export type Figures = Readonly<Record<string, number>>;

interface Point {
  readonly atMs: number;
  readonly value: number;
}

export interface Growth {
  readonly what: string;
  readonly first: number;
  readonly last: number;
  /** The median of each quarter of the time: whether it still grows at the end. */
  readonly quarters: readonly number[];
  /** The trend times the measured time: one sample that was taken at a bad moment changes it little. */
  readonly grown: number;
}

export class GrowthWatch {
  readonly #series = new Map<string, Point[]>();

  /** @param atMs Of any clock, the same for all. */
  add(subject: string, atMs: number, figures: Figures): void {
    for (const [name, value] of Object.entries(figures)) {
      const key = `${name} of ${subject}`;
      const points = this.#series.get(key) ?? [];
      points.push({ atMs, value });
      this.#series.set(key, points);
    }
  }

  /** Each series from `fromMs` on: what comes before is warming up. */
  growths(fromMs: number): readonly Growth[] {
    return [...this.#series].map(([what, all]) => {
      const points = all.filter(({ atMs }) => atMs >= fromMs);
      const [first, last] = [points.at(0), points.at(-1)];
      const lastedMs = (last?.atMs ?? 0) - (first?.atMs ?? 0);
      const quarters = [0, 1, 2, 3].map((quarter) => {
        const part = points.slice((points.length * quarter) / 4, (points.length * (quarter + 1)) / 4);
        return medianOf(part.map(({ value }) => value));
      });
      return { what, first: first?.value ?? 0, last: last?.value ?? 0, quarters, grown: trend(points) * lastedMs };
    });
  }
}

/** Theil and Sen's: the median of the slopes between any two points, per ms. */
function trend(points: readonly Point[]): number {
  const slopes: number[] = [];
  for (const [index, one] of points.entries()) {
    for (const other of points.slice(index + 1)) {
      if (other.atMs > one.atMs) slopes.push((other.value - one.value) / (other.atMs - one.atMs));
    }
  }
  return medianOf(slopes);
}

function medianOf(values: number[]): number {
  values.sort((one, other) => one - other);
  return values[Math.floor(values.length / 2)] ?? 0;
}
