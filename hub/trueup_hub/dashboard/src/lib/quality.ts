/** How much to believe: coverage in parts, by counter and bucket by bucket. */

import { addDays } from "./dates";
import type { Kind } from "./format";
import { totalsField } from "./metrics";
import type { Activity, Breakdown, Coverage, Part, Point, Totals } from "./types";

/** How well one request knows a number, from the best to not at all. */
export const KNOWN = ["exact", "lower_bound", "derived", "unreported"] as const;
export type Known = (typeof KNOWN)[number];
export type Parts = Record<Known, number>;

export const KNOWN_WORDS: Record<Known, string> = {
  exact: "exact",
  lower_bound: "lower bound",
  derived: "derived",
  unreported: "not reported",
};

/** Requests by how well they know it: together all of them. One that is a bound and derived counts as a bound. */
export function partsOf(coverage: Coverage | undefined): Parts {
  const { events, reported, lower_bound, derived } = coverage ?? NONE;
  const bound = Math.min(lower_bound, reported);
  const taken = Math.min(derived, reported - bound);
  return { exact: reported - bound - taken, lower_bound: bound, derived: taken, unreported: events - reported };
}

const NONE: Coverage = { events: 0, reported: 0, lower_bound: 0, derived: 0 };

export function together(all: Iterable<Coverage | undefined>): Coverage {
  const sum = { ...NONE };
  for (const one of all) if (one) for (const name of Object.keys(sum) as (keyof Coverage)[]) sum[name] += one[name];
  return sum;
}

export interface Counter {
  name: keyof Totals; // and in `coverage`
  label: string;
  about: string; // in a sentence
  kind: Kind;
  elsewhere?: true; // what does not tell it tells the counters that it stands for: nobody misses it
}

const COUNTERS: Counter[] = [
  { name: "total_tokens", label: "Total", about: "a complete total", kind: "tokens" },
  { name: "cost_microusd", label: "Cost", about: "what has a list price", kind: "money" },
  { name: "input_tokens", label: "Input", about: "input", kind: "tokens" },
  { name: "cache_read_tokens", label: "Cache read", about: "cache reads", kind: "tokens" },
  { name: "cache_write_tokens", label: "Cache write", about: "cache writes", kind: "tokens" },
  { name: "output_tokens", label: "Output", about: "output", kind: "tokens" },
  { name: "reasoning_tokens", label: "Reasoning", about: "reasoning", kind: "tokens" },
  {
    name: "input_undivided_tokens",
    label: "Input, undivided",
    about: "input that is not divided",
    kind: "tokens",
    elsewhere: true,
  },
  {
    name: "undivided_tokens",
    label: "Undivided",
    about: "tokens that are not divided",
    kind: "tokens",
    elsewhere: true,
  },
];

/** The columns that tell something about these rows. */
export const countersOf = (rows: Pick<Part, "coverage">[]): Counter[] =>
  COUNTERS.filter(
    ({ name, elsewhere }) =>
      rows.some(({ coverage }) => coverage[name] !== undefined) &&
      (!elsewhere || rows.some(({ coverage }) => (coverage[name]?.reported ?? 0) > 0)),
  );

export const byEvents = ({ rows }: Breakdown): Part[] => rows.filter((row) => row.events > 0).toSorted(moreEvents);
const moreEvents = (a: Part, b: Part): number => b.events - a.events;

export const withoutPrice = ({ rows }: Breakdown): Part[] =>
  rows
    .filter((row) => row.totals.unpriced_tokens > 0)
    .toSorted((a, b) => b.totals.unpriced_tokens - a.totals.unpriced_tokens);

/** One line of the small multiples: a series, or the rest of them, bucket by bucket. */
export interface Band {
  id: string;
  label: string;
  points: Coverage[];
  all: Coverage;
}

const MOST_BANDS = 9; // with the one of all together

/** Of each series how well its buckets are known: all together first, then the greatest by requests. */
export function bandsOf({ series }: Activity, metric: string, unknown: string): Band[] {
  const field = totalsField(metric);
  const starts = series[0]?.points ?? [];
  const one = (points: Point[]) => points.map((point) => point.coverage[field] ?? NONE);
  const bands = series
    .map(({ key, label, others, points }) => ({
      ...band(key === null ? "null" : `=${key}`, label ?? key ?? unknown, one(points)),
      others,
    }))
    .filter(({ all }) => all.events > 0)
    .toSorted((a, b) => Number(a.others > 0) - Number(b.others > 0) || b.all.events - a.all.events); // those together last
  const sum = (some: Band[]) => starts.map((_, at) => together(some.map(({ points }) => points[at])));
  const whole = band("all", "All together", sum(bands));
  if (bands.length < 2) return bands.length ? bands : [];
  const named = bands.filter(({ others }) => !others);
  const head = bands.length < MOST_BANDS ? named : named.slice(0, MOST_BANDS - 2);
  const rest = bands.slice(head.length);
  const number = rest.reduce((total, { others }) => total + (others || 1), 0);
  return [whole, ...head, ...(rest.length ? [band("rest", `${number} others`, sum(rest))] : [])];
}

const band = (id: string, label: string, points: Coverage[]): Band => ({ id, label, points, all: together(points) });

/** First and last day of a bucket, inside the range that was asked for. */
export function daysOfBucket(start: string, { granularity, from, to }: Pick<Activity, "granularity" | "from" | "to">) {
  const first = start.slice(0, 10);
  const last = lastDay(first, granularity);
  return { from: first < from ? from : first, to: last > to ? to : last };
}

function lastDay(first: string, granularity: string): string {
  if (granularity === "week") return addDays(first, 6);
  if (granularity !== "month") return first;
  const nextMonth = addDays(`${first.slice(0, 8)}01`, 31).slice(0, 8);
  return addDays(`${nextMonth}01`, -1);
}

/** Where a key leads among cells in rows and columns; null for other keys. */
export function moveIn(key: string, at: [number, number], rows: number, columns: number): [number, number] | null {
  const [row, column] = at;
  const within = (value: number, count: number) => Math.min(Math.max(value, 0), count - 1);
  switch (key) {
    case "ArrowLeft":
      return [row, within(column - 1, columns)];
    case "ArrowRight":
      return [row, within(column + 1, columns)];
    case "ArrowUp":
      return [within(row - 1, rows), column];
    case "ArrowDown":
      return [within(row + 1, rows), column];
    case "Home":
      return [row, 0];
    case "End":
      return [row, columns - 1];
    default:
      return null;
  }
}
