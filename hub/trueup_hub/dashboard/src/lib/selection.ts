/** What the reader has selected. It lives in the page's query string, so that an address shows the same view to anyone. */

import { GRANULARITIES, isDay, PRESETS, type Granularity, type Preset } from "./dates";
import { metricName } from "./metrics";
import type { Capabilities } from "./types";

export const GROUPS = ["model", "harness", "provider", "project", "host"] as const;
export type Group = (typeof GROUPS)[number];

/** Filters that the API takes as they are; the page shows them and can remove them. */
export const FILTERS = ["host", "harness", "project", "model", "provider"] as const;
export type Filter = (typeof FILTERS)[number];

export interface Selection {
  range: Preset;
  from: string | null;
  to: string | null;
  timezone: string | null; // null = the hub's
  groupBy: Group; // series of the chart
  by: Group; // parts of the breakdown
  granularity: Granularity | null; // null = what suits the range
  chart: string;
  heatmap: string;
  top: string;
  filters: Partial<Record<Filter, string[]>>;
}

export const DEFAULTS: Selection = {
  range: "all",
  from: null,
  to: null,
  timezone: null,
  groupBy: "model",
  by: "project",
  granularity: null,
  chart: "total_tokens",
  heatmap: "total_tokens",
  top: "total_tokens",
  filters: {},
};

export interface Read {
  selection: Selection;
  notices: string[]; // what could not be kept, in words
}

/** Selection from a query string. What it cannot mean goes back to the default, with a notice. */
export function readSelection(query: string): Read {
  const given = new URLSearchParams(query);
  const notices: string[] = [];
  const put = (name: string, value: string, instead: string) =>
    notices.push(`“${value}” is no ${name}; showing ${instead}.`);
  const oneOf = <T extends string>(
    name: string,
    words: string,
    known: readonly T[],
    fallback: T | null,
    instead: string,
  ): T | null => {
    const value = given.get(name);
    if (value === null || value === "") return fallback;
    if ((known as readonly string[]).includes(value)) return value as T;
    put(words, value, instead);
    return fallback;
  };

  const selection: Selection = structuredClone(DEFAULTS);
  selection.range = oneOf("range", "date range", PRESETS, DEFAULTS.range, "everything") ?? DEFAULTS.range;
  selection.groupBy = oneOf("group_by", "grouping", GROUPS, DEFAULTS.groupBy, "models") ?? DEFAULTS.groupBy;
  selection.by = oneOf("by", "dimension", GROUPS, DEFAULTS.by, "projects") ?? DEFAULTS.by;
  selection.granularity = oneOf("granularity", "step", GRANULARITIES, null, "the step that suits the range");
  for (const end of ["from", "to"] as const) {
    const value = given.get(end);
    if (value && isDay(value)) selection[end] = value;
    else if (value) put("date", value, "everything");
  }
  if (selection.from && selection.to && selection.from > selection.to)
    [selection.from, selection.to] = [selection.to, selection.from];
  if (selection.from || selection.to) selection.range = "custom";
  else if (selection.range === "custom") selection.range = DEFAULTS.range;

  const timezone = given.get("timezone");
  if (timezone && isTimezone(timezone)) selection.timezone = timezone;
  else if (timezone) put("time zone", timezone, "the hub's");
  for (const panel of ["chart", "heatmap", "top"] as const) selection[panel] = given.get(panel) || DEFAULTS[panel];
  for (const filter of FILTERS) {
    const values = new Set(given.getAll(filter)); // an empty one means: what has none
    if (values.size) selection.filters[filter] = [...values];
  }
  return { selection, notices };
}

/** The query string that reads back as this selection; defaults are left out. */
export function writeSelection(selection: Selection): string {
  const query = new URLSearchParams();
  if (selection.range === "custom") {
    if (selection.from) query.set("from", selection.from);
    if (selection.to) query.set("to", selection.to);
  } else if (selection.range !== DEFAULTS.range) query.set("range", selection.range);
  if (selection.timezone) query.set("timezone", selection.timezone);
  if (selection.groupBy !== DEFAULTS.groupBy) query.set("group_by", selection.groupBy);
  if (selection.by !== DEFAULTS.by) query.set("by", selection.by);
  if (selection.granularity) query.set("granularity", selection.granularity);
  for (const panel of ["chart", "heatmap", "top"] as const) {
    if (selection[panel] !== DEFAULTS[panel]) query.set(panel, selection[panel]);
  }
  for (const filter of FILTERS) for (const value of selection.filters[filter] ?? []) query.append(filter, value);
  const text = query.toString();
  return text ? `?${text}` : "";
}

export function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export type MetricsByPanel = Record<"chart" | "heatmap" | "top", string[]>;

/** Put every metric that the hub does not have for its panel back to the default, and say so. */
export function obeyCapabilities(selection: Selection, offered: MetricsByPanel): Read {
  const kept = structuredClone(selection);
  const notices: string[] = [];
  const words = { chart: "tokens over time", heatmap: "the calendar", top: "top sessions" };
  for (const panel of ["chart", "heatmap", "top"] as const) {
    const known = offered[panel];
    if (known.includes(kept[panel]) || known.length === 0) continue;
    const fallback = known.includes(DEFAULTS[panel]) ? DEFAULTS[panel] : (known[0] as string);
    notices.push(
      `This hub has no “${kept[panel]}” for ${words[panel]}; showing ${metricName(fallback).label.toLowerCase()}.`,
    );
    kept[panel] = fallback;
  }
  return { selection: kept, notices };
}

export function offeredMetrics(capabilities: Capabilities): MetricsByPanel {
  const of = (endpoint: string) => capabilities.metrics[endpoint] ?? [];
  return { chart: of("activity"), heatmap: of("heatmap"), top: of("top-sessions") };
}
