/** A breakdown as a treemap and as a table. */

import { keyedName } from "./dimensions";
import { full, percent, share, short, type Kind } from "./format";
import { metricName, sumMayBeMore, totalsField, valueOf } from "./metrics";
import { partId, SLOTS, sum, type Colours } from "./series";
import type { Breakdown, Part } from "./types";

export const MOST_TILES = 40;

export interface Tile {
  id: string;
  key: string | null;
  name: string;
  value: number;
  amount: string;
  share: string;
  slot: number;
  alone: boolean; // one part, that can be shown alone
  words: string;
}

export interface Treemap {
  tiles: Tile[];
  unknown: number; // parts that did not report it
  none: number; // parts with 0 or less of it
}

/** Sum of a metric over all parts: what a share is of. */
export const wholeOf = (breakdown: Breakdown, metric: string): number =>
  sum(breakdown.rows.map((row) => valueOf(row, metric))) ?? 0;

export function treemapOf(breakdown: Breakdown, metric: string, colours: Colours): Treemap {
  const { kind } = metricName(metric);
  const whole = wholeOf(breakdown, metric);
  const sized = breakdown.rows
    .map((row) => ({ row, value: valueOf(row, metric) ?? 0 }))
    .filter(({ value }) => value > 0)
    .sort((a, b) => b.value - a.value);
  const head = sized.length > MOST_TILES ? sized.slice(0, MOST_TILES - 1) : sized;
  const ids = head.map(({ row }) => partId(row.key));
  const slots = colours.assign(ids.slice(0, SLOTS));
  const tiles = head.map(({ row, value }, index): Tile => {
    const least = sumMayBeMore(row, metric);
    const name = keyedName(row, breakdown.by);
    const amount = `${least ? "≥ " : ""}${short(kind, value)}`;
    const of = share(value / whole);
    const exactly = `${least ? "at least " : ""}${full(kind, value)}`;
    const words = [`${name}: ${exactly} ${metricName(metric).label.toLowerCase()}, ${of}`, reporting(row, metric)];
    return {
      ...{ id: ids[index] ?? "", key: row.key, name, value, amount, share: of, slot: slots[index] ?? SLOTS },
      ...{ alone: true, words: words.filter(Boolean).join(", ") },
    };
  });
  const tail = sized.slice(head.length);
  if (tail.length) tiles.push(others(tail, metric, kind, whole));
  return {
    tiles,
    unknown: breakdown.rows.filter((row) => valueOf(row, metric) === null && row.events > 0).length,
    none: breakdown.rows.filter((row) => (valueOf(row, metric) ?? 1) <= 0).length,
  };
}

function others(tail: { row: Part; value: number }[], metric: string, kind: Kind, whole: number): Tile {
  const value = tail.reduce((total, one) => total + one.value, 0);
  const least = tail.some(({ row }) => sumMayBeMore(row, metric));
  const [name, of] = [`${tail.length} others`, share(value / whole)];
  return {
    ...{ id: "others", key: null, name, value, amount: `${least ? "≥ " : ""}${short(kind, value)}`, share: of },
    ...{ slot: SLOTS, alone: false, words: `${name}: ${full(kind, value)}, ${of}. The table has each of them` },
  };
}

/** Which part of its requests reported a metric; "" of counts, and where all did. */
function reporting(row: Part, metric: string): string {
  const coverage = row.coverage[totalsField(metric)];
  if (metricName(metric).kind === "count" || !coverage || coverage.reported === coverage.events) return "";
  return `${percent(coverage.reported, coverage.events)} of requests ${metric === "cost" ? "priced" : "reported"}`;
}

export interface Column {
  id: string;
  title: string;
  value: (row: Part) => number | string | null; // what it is sorted by
  text: (row: Part) => string;
}

const RARE = ["cache_write_1h_tokens", "input_undivided_tokens", "undivided_tokens"]; // only where they occur
const MORE: Record<string, string> = { input_undivided_tokens: "Input, undivided", undivided_tokens: "Undivided" };

/** Every number of a breakdown, the metric that it is sized by first. */
export function columnsOf(breakdown: Breakdown, metric: string, metrics: string[]): Column[] {
  const whole = wholeOf(breakdown, metric);
  const rare = RARE.filter((one) => breakdown.rows.some((row) => valueOf(row, one) !== null));
  const all = [...new Set([...metrics, ...rare])].filter(
    (one) => one !== metric && (!RARE.includes(one) || rare.includes(one)),
  );
  const columns = [column(metric)];
  if (whole > 0) columns.push(shareColumn(metric, whole));
  if (metricName(metric).kind !== "count") columns.push(coverageColumn(metric));
  columns.push({
    ...{ id: "requests", title: "Requests", value: (row) => row.events, text: (row) => full("count", row.events) },
  });
  return [...columns, ...all.map(column)];
}

function column(metric: string): Column {
  const { kind, label } = metricName(metric);
  return {
    id: metric,
    title: MORE[metric] ?? label,
    value: (row) => valueOf(row, metric),
    text: (row) => {
      const value = valueOf(row, metric);
      return `${value !== null && sumMayBeMore(row, metric) ? "≥ " : ""}${full(kind, value)}`;
    },
  };
}

function shareColumn(metric: string, whole: number): Column {
  const of = (row: Part) => {
    const value = valueOf(row, metric);
    return value === null ? null : value / whole;
  };
  return { id: "share", title: "Share", value: of, text: (row) => ((of(row) ?? 0) < 0 ? "" : text(of(row))) };
}

const text = (part: number | null): string => (part === null ? "—" : share(part));

function coverageColumn(metric: string): Column {
  const of = (row: Part) => row.coverage[totalsField(metric)];
  return {
    id: "coverage",
    title: metric === "cost" ? "Requests priced" : "Requests reporting",
    value: (row) => {
      const coverage = of(row);
      return coverage && coverage.events > 0 ? coverage.reported / coverage.events : null;
    },
    text: (row) => {
      const coverage = of(row);
      return coverage && coverage.events > 0 ? percent(coverage.reported, coverage.events) : "none made";
    },
  };
}

/** Sorted by a column; what has no value for it comes last either way. */
export function sorted(rows: Part[], { value }: Pick<Column, "value">, descending: boolean): Part[] {
  const sign = descending ? -1 : 1;
  const keyed = rows.map((row) => ({ row, at: value(row) }));
  keyed.sort((a, b) => {
    if (a.at === null || b.at === null) return Number(a.at === null) - Number(b.at === null);
    if (typeof a.at === "string" || typeof b.at === "string") return sign * String(a.at).localeCompare(String(b.at));
    return sign * (a.at - b.at);
  });
  return keyed.map(({ row }) => row);
}
