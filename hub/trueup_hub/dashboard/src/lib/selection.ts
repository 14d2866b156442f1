/** What the reader has selected. It lives in the page's query string, so that an address shows the same view to anyone. */

import { coerce, isTimezone, type Change, type Values } from "./coerce";
import { isDay, PRESETS, type Preset } from "./dates";
import { metricName } from "./metrics";
import { ORDERS as HOST_ORDERS } from "./hosts";
import type { Page } from "./router";
import type { Capabilities } from "./types";
import { FLAG_WORDS, LOG_STATES, STATE_ORDER } from "./words";

export const FILTERS = ["host", "harness", "project", "model", "provider", "label"] as const;
export type Filter = (typeof FILTERS)[number];

interface Asks {
  page: Page;
  endpoint: string | null; // null = the page chooses by itself out of what the hub answered
  parameter: string;
  standard: string | null; // null = not asked, or what suits
  usual?: true; // kept for the reader's next visit
  among?: readonly string[]; // of what the page chooses by itself: all that it knows
}

/** What a panel asks beside what all ask, by its name in the address. Which values there are is the hub's to say. */
export const CHOICES = {
  chart: asks("overview", "analytics/activity", "metric", "total_tokens", true),
  group_by: asks("overview", "analytics/activity", "group_by", "model", true),
  granularity: asks("overview", "analytics/activity", "granularity", null),
  heatmap: asks("overview", "analytics/heatmap", "metric", "total_tokens", true),
  hours: asks("overview", "analytics/hour-of-week", "metric", "total_tokens", true),
  hourly: chooses("overview", "value of an hour", ["average", "total"], "average"),
  size: asks("overview", "analytics/breakdown", "metric", "total_tokens", true),
  top: asks("overview", "analytics/top-sessions", "metric", "total_tokens", true),
  by: asks("overview", "analytics/breakdown", "by", "project", true),
  sort: asks("sessions", "sessions", "sort", "started_at"),
  order: asks("sessions", "sessions", "order", "desc"),
  quality: asks("sessions", "sessions", "quality", null),
  counter: asks("sessions", "sessions", "counter", null),
  covered: asks("quality", "analytics/activity", "metric", "total_tokens", true),
  covered_by: asks("quality", "analytics/activity", "group_by", "harness", true),
  find: chooses("hosts", "search"),
  state: chooses("hosts", "state of a host", [...STATE_ORDER, ...Object.keys(FLAG_WORDS)]),
  ordered: chooses("hosts", "order", HOST_ORDERS, "urgency"),
  logs: chooses("quality", "state of logs", Object.keys(LOG_STATES)),
} satisfies Record<string, Asks>;
export type Choice = keyof typeof CHOICES;
const NAMES = Object.keys(CHOICES) as Choice[];

/** How panels are called where the hub does not have them. */
const WORDS: Record<string, string> = {
  "analytics/activity": "tokens over time",
  "analytics/heatmap": "the calendar",
  "analytics/hour-of-week": "the hours of the week",
  "analytics/top-sessions": "top sessions",
  "analytics/breakdown": "the breakdown",
  sessions: "the list of sessions",
  trust: "trust",
};

function asks(page: Page, endpoint: string, parameter: string, standard: string | null, usual = false): Asks {
  return { page, endpoint, parameter, standard, ...(usual ? { usual } : {}) };
}

function chooses(page: Page, parameter: string, among: readonly string[] = [], standard: string | null = null): Asks {
  return { page, endpoint: null, parameter, standard, ...(among.length ? { among } : {}) };
}

export interface Selection extends Record<Choice, string | null> {
  range: Preset;
  from: string | null;
  to: string | null;
  timezone: string | null; // null = the hub's
  counted: "once" | "all";
  compare: boolean; // with the period before
  filters: Partial<Record<Filter, string[]>>;
}

export const DEFAULTS: Selection = {
  range: "all",
  from: null,
  to: null,
  timezone: null,
  counted: "once",
  compare: false,
  filters: {},
  ...(Object.fromEntries(NAMES.map((name) => [name, CHOICES[name].standard])) as Record<Choice, string | null>),
};

export interface Read {
  selection: Selection;
  notices: string[]; // what could not be kept, in words
}

/** Selection from a query string. What it cannot mean on any hub goes back to the default, with a notice. */
export function readSelection(query: string): Read {
  const given = new URLSearchParams(query);
  const notices: string[] = [];
  const put = (name: string, value: string, instead: string) =>
    notices.push(`“${value}” is no ${name}; showing ${instead}.`);

  const selection: Selection = structuredClone(DEFAULTS);
  const range = given.get("range");
  if (range && (PRESETS as readonly string[]).includes(range)) selection.range = range as Preset;
  else if (range) put("date range", range, "everything");
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
  const counted = given.get("counted");
  if (counted === "all") selection.counted = counted;
  else if (counted && counted !== "once") put("way to count", counted, "each request once");
  selection.compare = given.get("compare") === "previous";
  for (const name of NAMES) {
    const value = given.get(name) || null;
    const { among, parameter }: Asks = CHOICES[name];
    selection[name] = value !== null && (!among || among.includes(value)) ? value : DEFAULTS[name];
    if (value !== null && selection[name] !== value) put(parameter, value, DEFAULTS[name] ?? "everything");
  }
  for (const filter of FILTERS) {
    const values = new Set(given.getAll(filter)); // an empty one means: what has none
    if (values.size) selection.filters[filter] = [...values];
  }
  return { selection, notices };
}

/** The query string that reads back as what this page shows of a selection; defaults are left out. */
export function writeSelection(selection: Selection, page: Page): string {
  const query = new URLSearchParams();
  if (selection.range === "custom") {
    if (selection.from) query.set("from", selection.from);
    if (selection.to) query.set("to", selection.to);
  } else if (selection.range !== DEFAULTS.range) query.set("range", selection.range);
  if (selection.timezone) query.set("timezone", selection.timezone);
  if (selection.counted !== DEFAULTS.counted) query.set("counted", selection.counted);
  if (selection.compare) query.set("compare", "previous");
  for (const name of NAMES) {
    const value = selection[name];
    if (CHOICES[name].page === page && value !== null && value !== DEFAULTS[name]) query.set(name, value);
  }
  for (const filter of FILTERS) for (const value of selection.filters[filter] ?? []) query.append(filter, value);
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Of a selection, what the reader will want next time too: how things are shown, not what of them. */
export function usualOf(selection: Selection): string {
  const query = new URLSearchParams();
  if (selection.timezone) query.set("timezone", selection.timezone);
  for (const name of NAMES) {
    const value = selection[name];
    if ("usual" in CHOICES[name] && value !== null && value !== DEFAULTS[name]) query.set(name, value);
  }
  return query.toString();
}

/** What other pages than this show: an address says nothing of it. */
export const choicesElsewhere = (selection: Selection, page: Page): Partial<Selection> =>
  Object.fromEntries(NAMES.filter((name) => CHOICES[name].page !== page).map((name) => [name, selection[name]]));

type Ends = { from: string | null; to: string | null };

/** What all panels ask in the same way; values of lists are not quoted yet. */
export function commonValues(selection: Selection, { from, to }: Ends): Values {
  const values: Values = {};
  for (const [name, value] of Object.entries({ from, to, timezone: selection.timezone }))
    if (value !== null) values[name] = [value];
  if (selection.counted !== DEFAULTS.counted) values["counted"] = [selection.counted];
  for (const filter of FILTERS) if (selection.filters[filter]) values[filter] = selection.filters[filter];
  return values;
}

/** Put whatever the hub cannot be asked for this page back to the default, and say so. */
export function obeyCapabilities(selection: Selection, capabilities: Capabilities, page: Page): Read {
  const kept = structuredClone(selection);
  const notices = new Set<string>();
  const here = NAMES.filter((name) => CHOICES[name].page === page);
  const asked = here.flatMap((name) => CHOICES[name].endpoint ?? []);
  for (const endpoint of new Set(["trust", ...asked])) {
    const words = WORDS[endpoint] ?? endpoint;
    const own = here.filter((name) => CHOICES[name].endpoint === endpoint);
    const wanted = commonValues(kept, kept);
    const usual: Record<string, string> = {};
    for (const name of own) {
      const [value, standard] = [kept[name], DEFAULTS[name]];
      if (value !== null) wanted[CHOICES[name].parameter] = [value];
      if (standard !== null) usual[CHOICES[name].parameter] = standard;
    }
    const found = coerce(capabilities, endpoint, wanted, usual);
    if (found.endpoint === null) {
      if (own.length) notices.add(`This hub does not have ${words}.`);
      continue;
    }
    for (const change of found.changes) notices.add(inWords(change, words));
    const of = (name: string): string | null => found.values[name]?.[0] ?? null;
    for (const name of own) kept[name] = of(CHOICES[name].parameter) ?? DEFAULTS[name];
    for (const name of ["from", "to", "timezone"] as const) kept[name] = of(name);
    kept.counted = of("counted") === "all" ? "all" : "once";
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
