/** The list of sessions: its columns, what its rows add up to, and the words beside it. */

import type { Kind } from "./format";
import { metricName, sumMayBeMore, totalsField } from "./metrics";
import { sum } from "./series";
import type { Coverage, SessionItem } from "./types";

/** `sort`: the hub's name for its order, null where there is none. */
export interface Column {
  name: string;
  label: string;
  sort: string | null;
  kind: Kind | "text" | "time";
}

const TEXTS = { session: "Session", host: "Host and models" };
const TIMES = { started_at: "Started", last_active_at: "Last active" };
const NUMBERS = [
  "messages",
  "input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "output_tokens",
  "reasoning_tokens",
  "total_tokens",
  "cost",
  "peak_context_tokens",
];
const BRIEF: Record<string, string> = { cost: "Cost", peak_context_tokens: "Peak context", total_tokens: "Total" };

/**
 * What can be sorted by has a column; of what is not always shown, the one that is sorted by. On a narrow screen it comes
 * beside the name, and before all others what has been used. Where sessions are asked for by a doubt, its extent comes
 * first: `doubt` is what that is called.
 */
export function columnsOf(sorts: string[], sort: string, doubt: string | null = null, narrow = false): Column[] {
  const offered = (name: string) => (sorts.includes(name) ? name : null);
  const shown = [...NUMBERS, ...(sort in TIMES || NUMBERS.includes(sort) ? [] : [sort])];
  const [session, host] = Object.entries(TEXTS).map(([name, label]): Column => ({
    name,
    label,
    sort: null,
    kind: "text",
  }));
  const times = Object.entries(TIMES).map(([name, label]): Column => ({
    name,
    label,
    sort: offered(name),
    kind: "time",
  }));
  const numbers = shown.map((name): Column => ({
    name,
    label: headOf(name),
    sort: offered(name),
    kind: metricName(name).kind,
  }));
  if (!session || !host) return [];
  if (doubt !== null) numbers.unshift({ name: "of_quality", label: doubt, sort: null, kind: "count" });
  if (!narrow) return [session, host, ...times, ...numbers];
  const first = [sort, "of_quality", "total_tokens", "cost", "output_tokens"];
  const place = ({ name }: Column) => (first.includes(name) ? first.indexOf(name) : first.length);
  return [session, ...[...times, ...numbers].sort((a, b) => place(a) - place(b)), host];
}

function headOf(name: string): string {
  return BRIEF[name] ?? metricName(name).label.replace(/ tokens$/, "");
}

/** How a sort is called where the reader chooses one. */
export const sortName = (name: string): string => (TIMES as Record<string, string>)[name] ?? metricName(name).label;

export function orderWords(sort: string, order: string): string {
  const [most, least] = sort in TIMES ? ["Newest first", "Oldest first"] : ["Greatest first", "Least first"];
  return order === "asc" ? least : most;
}

/** A session's number in a column, and how well it is known; counts are always known. */
export function cellOf(session: SessionItem, column: string): { value: number | null; coverage: Coverage | undefined } {
  if (column === "of_quality") return { value: session.of_quality, coverage: undefined };
  if (column === "messages") return { value: session.messages, coverage: undefined };
  if (column === "peak_context_tokens")
    return { value: session.peak_context_tokens, coverage: session.coverage["context_tokens"] };
  const field = totalsField(column);
  return { value: session.totals[field] ?? null, coverage: session.coverage[field] };
}

export interface Sum {
  value: number | null;
  atLeast: boolean; // one of them may be more
}

/** What rows add up to: null over nothing reported. */
export function sumOf(sessions: SessionItem[], metric: string): Sum {
  const value = sum(sessions.map((session) => cellOf(session, metric).value));
  return { value, atLeast: sessions.some((session) => sumMayBeMore(session, metric)) };
}

const QUALITY: Record<string, string> = {
  unreported: "with requests that did not report {counter}",
  lower_bound: "with lower bounds of {counter}",
  derived: "with derived {counter}",
  unpriced: "with tokens that have no list price",
  old_data: "read by an older parser whose log is gone",
  set_aside: "with copies set aside",
  conflicting: "with copies that contradict each other",
};

/** Which sessions are left by the filter of quality, as "only sessions …". */
export function qualityWords(quality: string, counter: string | null): string {
  const words = QUALITY[quality] ?? quality.replaceAll("_", " ");
  return words.replace("{counter}", metricName(counter ?? "total_tokens").label.toLowerCase());
}

/** How the number of what was asked for by `quality` is called at the head of its column. */
export const doubtName = (quality: string): string => (quality === "unpriced" ? "Unpriced tokens" : "Such requests");

/** A session without a title of its own: its harness's name for it, else the hub's. */
export const shortId = (session: { id: string; session_id: string | null }): string =>
  (session.session_id ?? session.id).slice(0, 8);
