/** One session: what its page says of it, from what the hub answers. */

import { compact, exact, plural, UNKNOWN } from "./format";
import type { Message, Session, SessionUsage, Usage } from "./types";

const formats = new Map<string, Intl.DateTimeFormat>();

/** Kept: to make one takes longer than to draw a row. */
function timeFormat(options: Intl.DateTimeFormatOptions, locale?: string): Intl.DateTimeFormat {
  const key = `${locale ?? ""} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat(locale, options)));
  return found;
}

/** In two pieces, for narrow columns: day and time of day; the year where it is another than that of `now`. */
export function dayAndTime(
  iso: string,
  timeZone: string,
  now: number | null = null,
  locale?: string,
): [string, string] {
  const at = new Date(iso);
  const year = timeFormat({ year: "numeric", timeZone }, "en");
  const thisYear = now !== null && year.format(at) === year.format(now);
  const day = timeFormat(
    { ...(thisYear ? { month: "short", day: "numeric" } : { dateStyle: "medium" }), timeZone },
    locale,
  );
  return [day.format(at), timeFormat({ timeStyle: "short", timeZone }, locale).format(at)];
}

/** As agentsview has it: one badge, what is not reported is a dash; null where nothing is. */
export function badge(
  context: number | null,
  output: number | null,
  contextAtLeast = false,
  outputAtLeast = false,
  locale?: string,
): string | null {
  if (context === null && output === null) return null;
  const side = (value: number | null, atLeast: boolean) =>
    value === null ? UNKNOWN : `${atLeast ? "≥ " : ""}${compact(value, locale)}`;
  return `${side(context, contextAtLeast)} ctx / ${side(output, outputAtLeast)} out`;
}

/** How a counter of one request is known. */
export type Known = "exact" | "at least" | "derived" | "unstated";

export function knownAs(usage: Usage, counter: string): Known {
  if (usage.unstated.includes(counter)) return "unstated";
  if (usage.lower_bounds.includes(counter)) return "at least";
  return usage.derived.includes(counter) ? "derived" : "exact";
}

/** Of `total_tokens`: a part of it that is a lower bound makes it one. */
const TOTAL_PARTS = [
  "input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "output_tokens",
  "input_undivided_tokens",
  "undivided_tokens",
];
export const totalIsAtLeast = (usage: Usage): boolean => usage.lower_bounds.some((name) => TOTAL_PARTS.includes(name));

export const TIME_WORDS: Record<string, string> = {
  record: "",
  session: "time of the session, not of this request",
  file: "time of the log file, not of this request",
};

export type Counter = keyof Usage & `${string}_tokens`;
const ALWAYS: Counter[] = ["input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"];
const WHERE_REPORTED: Counter[] = [
  "cache_write_1h_tokens",
  "reasoning_tokens",
  "input_undivided_tokens",
  "undivided_tokens",
];
const ORDER: Counter[] = [
  "context_tokens",
  "input_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "cache_write_1h_tokens",
  "output_tokens",
  "reasoning_tokens",
  "input_undivided_tokens",
  "undivided_tokens",
];
export const COUNTER_WORDS: Record<string, string> = {
  context_tokens: "Context",
  input_tokens: "Input",
  cache_read_tokens: "Cache read",
  cache_write_tokens: "Cache write",
  cache_write_1h_tokens: "Cache write, 1 h",
  output_tokens: "Output",
  reasoning_tokens: "Reasoning",
  input_undivided_tokens: "Input, not divided",
  undivided_tokens: "Not divided",
  total_tokens: "Total",
};

/** Counters that have a column: the rarer ones where some request reported them. */
export function countersOf(messages: Message[]): Counter[] {
  const some = (counter: Counter) => messages.some(({ usage }) => typeof usage?.[counter] === "number");
  return ORDER.filter(
    (counter) =>
      counter === "context_tokens" || ALWAYS.includes(counter) || (WHERE_REPORTED.includes(counter) && some(counter)),
  );
}

/** Why a message that is part of a request has no numbers of its own: they stand elsewhere. */
export function elsewhere(message: Message, shown: ReadonlySet<string>): string | null {
  if (message.usage || !message.event_id) return null;
  return shown.has(message.event_id) ? "same request as above" : "its request counts elsewhere";
}

/** Requests whose usage stands in the list. */
export const requestsShown = (messages: Message[]): Set<string> =>
  new Set(messages.flatMap(({ usage }) => (usage ? [usage.event_id] : [])));

export interface Mix {
  model: string | null;
  requests: number;
  tokens: number | null;
  cost: number | null;
  share: number | null; // of all tokens, 0 to 1; null where it or all of them reported none
}

export function mixOf(session: Session): Mix[] {
  const whole = session.totals.total_tokens;
  return session.by_model.map(({ key, events, totals }) => ({
    model: key,
    requests: events,
    tokens: totals.total_tokens,
    cost: totals.cost_microusd,
    share: totals.total_tokens !== null && whole ? totals.total_tokens / whole : null,
  }));
}

/** From the first to the last that is known, in seconds; null where only the session or its file has a time. */
export function durationOf(session: Session, usage: SessionUsage | null): number | null {
  const parts = (usage?.parts ?? []).filter((part) => part.times.record > 0);
  const ends = parts.map((part) => Date.parse(part.last_at));
  const begins = [...(session.started_at ? [session.started_at] : []), ...parts.map((part) => part.first_at)];
  if (ends.length === 0) return null;
  return (Math.max(...ends) - Math.min(...begins.map((begin) => Date.parse(begin)))) / 1000;
}

/** "3 h 12 min", to the minute; below a minute in seconds. */
export function duration(seconds: number | null, locale?: string): string {
  if (seconds === null) return UNKNOWN;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  if (days > 0) return `${exact(days, locale)} ${plural(days, "day")} ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

/** What several numbers of the page are about: its messages and requests, and whether all of them are here. */
export function loadedWords(messages: Message[], complete: boolean, locale?: string): string {
  const requests = messages.filter(({ usage }) => usage !== null).length;
  const said = messages.filter(({ id }) => id !== null).length;
  const counts = `${exact(said, locale)} ${plural(said, "message")} with ${exact(requests, locale)} ${plural(requests, "request")}`;
  return complete ? `All ${counts}` : `The first ${counts} are loaded, later ones are not`;
}

/** Whether the usage of messages is all that the session has: they are asked for one after the other. */
export function addsUp(messages: Message[], { events, totals }: Pick<Session, "events" | "totals">): boolean {
  const used = messages.flatMap(({ usage }) => (usage ? [usage] : []));
  const total = used.reduce((sum, { total_tokens }) => sum + (total_tokens ?? 0), 0);
  return used.length === events && total === (totals.total_tokens ?? 0);
}
