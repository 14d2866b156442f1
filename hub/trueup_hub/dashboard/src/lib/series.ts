/** From the API's series to what the chart draws: few enough parts, each with a lasting colour, stacked. */

import type { Activity, Coverage, Point } from "./types";
import { keyedName } from "./dimensions";
import { sumMayBeMore, totalsField } from "./metrics";

export const SLOTS = 8; // colours; further series are drawn together
const REST = "\u0000rest"; // no key of the API looks like this

export interface Part {
  id: string; // REST, or the key with its null told apart from the text
  key: string | null;
  label: string;
  slot: number; // 0 … SLOTS-1, or SLOTS for the rest
  values: (number | null)[];
  least: boolean[]; // of each value, whether the truth may be more
  total: number | null;
}

export interface Chart {
  starts: string[]; // of the buckets
  parts: Part[]; // greatest first, the rest last
  gaps: Coverage[]; // of all parts together, bucket by bucket
  silent: boolean[]; // requests were made and none reported: what is not drawn there is not nothing
}

export const partId = (key: string | null): string => (key === null ? "null" : `=${key}`);
export const isRest = (part: Part): boolean => part.id === REST;

/** Sum in which unknown adds nothing; over nothing known it stays unknown. */
export function sum(values: Iterable<number | null>): number | null {
  let total: number | null = null;
  for (const value of values) if (value !== null) total = (total ?? 0) + value;
  return total;
}

/** Which series has which colour. A series keeps its own for as long as it is shown: colours do not move under the reader. */
export class Colours {
  readonly #slots = new Map<string, number>();

  /** Slots for at most SLOTS series that are shown together, all different. */
  assign(ids: string[]): number[] {
    const taken = new Set<number>();
    const kept = ids.map((id) => {
      const slot = this.#slots.get(id);
      if (slot === undefined || taken.has(slot)) return null;
      taken.add(slot);
      return slot;
    });
    return ids.map((id, index) => {
      let slot = kept[index] ?? 0;
      if (kept[index] === null) while (taken.has(slot)) slot++;
      taken.add(slot);
      this.#slots.set(id, slot);
      return slot;
    });
  }
}

export function chartOf(activity: Activity, metric: string, colours: Colours): Chart {
  const field = totalsField(metric);
  const by = activity.group_by ?? "series";
  const all = activity.series.map(({ key, label, others, points }) => {
    const values = points.map((point) => point.totals[field] ?? null);
    const least = points.map((point) => sumMayBeMore(point, metric));
    const name = keyedName({ key, label }, by);
    return { id: partId(key), key, label: name, values, least, total: sum(values), points, others };
  });
  const starts = (all[0]?.points ?? []).map((point) => point.start);
  const shown = all.filter((part) => part.total !== null).sort((a, b) => (b.total ?? 0) - (a.total ?? 0));
  const named = shown.filter((part) => !part.others);
  const head = shown.length > SLOTS ? named.slice(0, SLOTS - 1) : named;
  const tail = shown.filter((part) => !head.includes(part));
  const slots = colours.assign(head.map((part) => part.id));
  const parts: Part[] = head.map(({ points: _, others: __, ...part }, index) => ({ ...part, slot: slots[index] ?? 0 }));
  if (tail.length) {
    const values = starts.map((_, bucket) => sum(tail.map((part) => part.values[bucket] ?? null)));
    const least = starts.map((_, bucket) => tail.some((part) => part.least[bucket]));
    const number = tail.reduce((total, { others }) => total + (others || 1), 0);
    const label = `${number} others`;
    parts.push({ id: REST, key: null, label, slot: SLOTS, values, least, total: sum(values) });
  }
  const gaps = starts.map((_, bucket) =>
    coverageOf(
      all.map((part) => part.points[bucket]),
      metric,
    ),
  );
  const known = together(activity, metric);
  return { starts, parts, gaps, silent: gaps.map(({ events }, bucket) => events > 0 && known[bucket] === null) };
}

function coverageOf(points: (Point | undefined)[], metric: string): Coverage {
  const together: Coverage = { events: 0, reported: 0, lower_bound: 0, derived: 0 };
  for (const point of points) {
    const one = point?.coverage[totalsField(metric)];
    if (!one) continue;
    for (const name of ["events", "reported", "lower_bound", "derived"] as const) together[name] += one[name];
  }
  return together;
}

/** The sums of all series, bucket by bucket. */
export const together = (activity: Activity, metric: string): (number | null)[] =>
  (activity.series[0]?.points ?? []).map((_, bucket) =>
    sum(activity.series.map(({ points }) => points[bucket]?.totals[totalsField(metric)] ?? null)),
  );

/** Heights of the parts that are shown, each standing on those before it; the first part is at the bottom. */
export function stack(parts: Part[], hidden: ReadonlySet<string>, buckets: number): (number | null)[][] {
  const base = new Array<number>(buckets).fill(0);
  return parts.map((part) => {
    if (hidden.has(part.id)) return new Array<null>(buckets).fill(null);
    return part.values.map((value, bucket) => {
      if (value === null) return null;
      base[bucket] = (base[bucket] ?? 0) + value;
      return base[bucket] ?? 0;
    });
  });
}
