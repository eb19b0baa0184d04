/** Counters and histograms in the text format of Prometheus (version 0.0.4). */

/** Upper bounds of a histogram, in seconds: a no-op plugin to one that is killed after a minute. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

type Labels = Readonly<Record<string, string | number>>;

export class Counter {
  readonly #values = new Map<string, number>();

  /** @param initial the labels of series to show before they first count */
  constructor(readonly name: string, readonly help: string, initial: readonly Labels[] = []) {
    for (const labels of initial) this.add(labels, 0);
  }

  add(labels: Labels = {}, count = 1): void {
    const key = labelText(labels);
    this.#values.set(key, (this.#values.get(key) ?? 0) + count);
  }

  /** What was counted since the last time, for another thread's {@link absorb}. */
  drain(): [key: string, value: number][] {
    const all = [...this.#values];
    this.#values.clear();
    return all;
  }

  absorb(counted: ReturnType<Counter["drain"]>): void {
    for (const [key, count] of counted) this.#values.set(key, (this.#values.get(key) ?? 0) + count);
  }

  toString(): string {
    return family(this, "counter", [...this.#values].map(([key, value]) => [key, value]));
  }
}

interface Series {
  labels: Labels;
  counts: number[];
  sum: number;
}

export class Histogram {
  readonly #series = new Map<string, Series>();

  constructor(readonly name: string, readonly help: string) {}

  observe(labels: Labels, seconds: number): void {
    const series = this.#of(labels);
    const bucket = BUCKETS.findIndex((bound) => seconds <= bound);
    series.counts[bucket < 0 ? BUCKETS.length : bucket]! += 1;
    series.sum += seconds;
  }

  #of(labels: Labels): Series {
    const key = labelText(labels);
    let series = this.#series.get(key);
    if (!series) {
      series = { labels, counts: [...BUCKETS, Infinity].map(() => 0), sum: 0 };
      this.#series.set(key, series);
    }
    return series;
  }

  /** What was observed since the last time, for another thread's {@link absorb}. */
  drain(): Series[] {
    const all = [...this.#series.values()];
    this.#series.clear();
    return all;
  }

  absorb(observed: readonly Series[]): void {
    for (const { labels, counts, sum } of observed) {
      const own = this.#of(labels);
      counts.forEach((count, i) => own.counts[i]! += count);
      own.sum += sum;
    }
  }

  toString(): string {
    const lines = [...this.#series].flatMap(([key, { labels, counts, sum }]) => {
      let total = 0;
      const buckets = counts.map((count, i): Line => {
        const le = BUCKETS[i] ?? "+Inf";
        return [`_bucket${labelText({ ...labels, le })}`, total += count];
      });
      return [...buckets, [`_sum${key}`, sum], [`_count${key}`, total]] as Line[];
    });
    return family(this, "histogram", lines);
  }
}

/** A value that is known only when somebody asks. */
export function gauge(name: string, help: string, value: number): string {
  return gauges(name, help, [[{}, value]]);
}

/** Several, each with its labels. */
export function gauges(name: string, help: string, values: readonly [Labels, number][]): string {
  return valued("gauge", name, help, values);
}

/** Counters that are kept elsewhere. */
export function sums(name: string, help: string, values: readonly [Labels, number][]): string {
  return valued("counter", name, help, values);
}

function valued(type: string, name: string, help: string, values: readonly [Labels, number][]) {
  return family({ name, help }, type, values.map(([labels, value]) => [labelText(labels), value]));
}

/** What follows a family's name in a line, and its value. */
type Line = [rest: string, value: number];

function family(
  { name, help }: { name: string; help: string },
  type: string,
  lines: readonly Line[],
): string {
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...lines.map(([rest, value]) => `${name}${rest} ${value}`),
  ].join("\n") + "\n";
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(String(value))}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** A plugin's or a network's name is an operator's text: it must not end its line. */
function escape(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
