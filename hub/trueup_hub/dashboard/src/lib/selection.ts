/** What the reader has selected. It lives in the page's query string, so that an address shows the same view to anyone. */

import { coerce, isTimezone, type Change, type Values } from "./coerce";
import { GRANULARITIES, isDay, PRESETS, type Granularity, type Preset } from "./dates";
import { metricName } from "./metrics";
import type { Capabilities } from "./types";

export const GROUPS = ["model", "harness", "provider", "project", "host"] as const;
export type Group = (typeof GROUPS)[number];

/** Filters that the API takes as they are; the page shows them and can remove them. */
export const FILTERS = ["host", "harness", "project", "model", "provider", "label"] as const;
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

/** What each panel asks, and where the selection has it. */
const PANELS = [
  {
    endpoint: "analytics/activity",
    words: "tokens over time",
    fields: { metric: "chart", group_by: "groupBy", granularity: "granularity" },
  },
  { endpoint: "analytics/heatmap", words: "the calendar", fields: { metric: "heatmap" } },
  { endpoint: "analytics/top-sessions", words: "top sessions", fields: { metric: "top" } },
  { endpoint: "analytics/breakdown", words: "the breakdown", fields: { by: "by" } },
] as const;
type Field = "chart" | "heatmap" | "top" | "groupBy" | "by" | "granularity";

type Ends = { from: string | null; to: string | null };

/** What all panels ask in the same way; values of lists are not quoted yet. */
export function commonValues(selection: Selection, { from, to }: Ends): Values {
  const values: Values = {};
  for (const [name, value] of Object.entries({ from, to, timezone: selection.timezone }))
    if (value !== null) values[name] = [value];
  for (const filter of FILTERS) if (selection.filters[filter]) values[filter] = selection.filters[filter];
  return values;
}

/** Put whatever the hub cannot be asked back to the default, and say so. */
export function obeyCapabilities(selection: Selection, capabilities: Capabilities): Read {
  const kept = structuredClone(selection);
  const notices = new Set<string>();
  for (const { endpoint, words, fields } of PANELS) {
    const own = Object.entries(fields) as [string, Field][];
    const wanted = commonValues(kept, kept);
    const usual: Record<string, string> = {};
    for (const [name, field] of own) {
      const [value, standard] = [kept[field], DEFAULTS[field]];
      if (value !== null) wanted[name] = [value];
      if (standard !== null) usual[name] = standard;
    }
    const found = coerce(capabilities, endpoint, wanted, usual);
    if (found.endpoint === null) {
      notices.add(`This hub does not have ${words}.`);
      continue;
    }
    for (const change of found.changes) notices.add(inWords(change, words));
    const of = (name: string): string | null => found.values[name]?.[0] ?? null;
    for (const [name, field] of own) Object.assign(kept, { [field]: of(name) ?? DEFAULTS[field] });
    for (const name of ["from", "to", "timezone"] as const) kept[name] = of(name);
    for (const filter of FILTERS) {
      const values = found.values[filter];
      if (values) kept.filters[filter] = values;
      else delete kept.filters[filter];
    }
    if (kept.range === "custom" && !kept.from && !kept.to) kept.range = DEFAULTS.range;
  }
  return { selection: kept, notices: [...notices] };
}

function inWords({ parameter, wanted, instead, reason }: Change, words: string): string {
  if (parameter === "metric")
    return `This hub has no “${wanted[0]}” for ${words}; showing ${metricName(instead[0] ?? "").label.toLowerCase()}.`;
  const now = instead.length ? `; using ${instead[0]}` : "; left out";
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}${now}.`;
}
