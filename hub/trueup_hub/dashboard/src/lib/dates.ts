/** Calendar days as `YYYY-MM-DD`, which belong to no zone; arithmetic on them is done in UTC. */

const DAY_MS = 86_400_000;

export const isDay = (text: string): boolean =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(time(text)) && dayOf(time(text)) === text;

const time = (day: string): number => Date.parse(`${day}T00:00:00Z`);
const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

export const addDays = (day: string, days: number): string => dayOf(time(day) + days * DAY_MS);

/** Days from one to the other, 0 for the same. */
export const daysBetween = (from: string, to: string): number => Math.round((time(to) - time(from)) / DAY_MS);

/** 0 = Monday. */
export const weekday = (day: string): number => (new Date(time(day)).getUTCDay() + 6) % 7;

export const today = (timezone: string, now: Date = new Date()): string =>
  new Intl.DateTimeFormat("en-CA", { timeZone: timezone, year: "numeric", month: "2-digit", day: "2-digit" }).format(
    now,
  );

export const PRESETS = ["today", "7d", "30d", "90d", "month", "last-month", "12m", "all", "custom"] as const;
export type Preset = (typeof PRESETS)[number];
export const PRESET_WORDS: Record<Preset, string> = {
  today: "Today",
  "7d": "7 days",
  "30d": "30 days",
  "90d": "90 days",
  month: "This month",
  "last-month": "Last month",
  "12m": "12 months",
  all: "All",
  custom: "Dates",
};

export interface Days {
  from: string;
  to: string;
}

/** First and last day of a preset; nulls for everything there is. */
export function presetRange(preset: Preset, lastDay: string): Days | { from: null; to: null } {
  const lengths: Partial<Record<Preset, number>> = { today: 1, "7d": 7, "30d": 30, "90d": 90, "12m": 365 };
  const length = lengths[preset];
  if (length !== undefined) return { from: addDays(lastDay, 1 - length), to: lastDay };
  if (preset === "month") return { from: monthStart(lastDay), to: lastDay };
  if (preset === "last-month") {
    const end = addDays(monthStart(lastDay), -1);
    return { from: monthStart(end), to: end };
  }
  return { from: null, to: null };
}

/** The period after (1) or before (-1): whole months of whole months, else as many days. Null where that is all to come. */
export function stepRange({ from, to }: Days, direction: 1 | -1, lastDay: string): Days | null {
  const sinceTheFirst =
    from === monthStart(from) && (to === monthEnd(to) || (to === lastDay && from === monthStart(to)));
  const length = daysBetween(from, to) + 1;
  const months = monthsBetween(from, to) + 1;
  const next = sinceTheFirst
    ? { from: addMonths(from, direction * months), to: monthEnd(addMonths(monthStart(to), direction * months)) }
    : { from: addDays(from, direction * length), to: addDays(to, direction * length) };
  if (next.from > lastDay) return null;
  // Of a month that is not over, what there is of it
  return sinceTheFirst && next.to > lastDay ? { ...next, to: lastDay } : next;
}

/** How a range is called, where it has a name: `30d` goes on with the days, dates do not. */
export const presetOf = ({ from, to }: Days, lastDay: string): Preset =>
  PRESETS.find((preset) => {
    const known = presetRange(preset, lastDay);
    return known.from === from && known.to === to;
  }) ?? "custom";

const monthStart = (day: string): string => `${day.slice(0, 7)}-01`;
const monthEnd = (day: string): string => addDays(addMonths(monthStart(day), 1), -1);
const monthsBetween = (from: string, to: string): number =>
  12 * (Number(to.slice(0, 4)) - Number(from.slice(0, 4))) + Number(to.slice(5, 7)) - Number(from.slice(5, 7));

/** Of the first of a month. */
const addMonths = (first: string, months: number): string =>
  dayOf(Date.UTC(Number(first.slice(0, 4)), Number(first.slice(5, 7)) - 1 + months, 1));

/** "Nov 2 – 8, 2026", as the locale shortens it. */
export const daysInWords = ({ from, to }: Days, locale?: string): string =>
  new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" }).formatRange(time(from), time(to));

export const GRANULARITIES = ["hour", "day", "week", "month"] as const;
export type Granularity = (typeof GRANULARITIES)[number];

/** Between a handful and some two hundred buckets, whatever the range. */
export function suitableGranularity(from: string, to: string): Granularity {
  const days = daysBetween(from, to) + 1;
  if (days <= 3) return "hour";
  if (days <= 186) return "day";
  return days <= 3 * 366 ? "week" : "month";
}

export const longDay = (day: string, locale?: string): string =>
  new Intl.DateTimeFormat(locale, {
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    timeZone: "UTC",
  }).format(time(day));

export const monthName = (day: string, locale?: string): string =>
  new Intl.DateTimeFormat(locale, { month: "short", timeZone: "UTC" }).format(time(day));

/** Monday first. */
export const weekdayName = (index: number, width: "short" | "long" = "short", locale?: string): string =>
  new Intl.DateTimeFormat(locale, { weekday: width, timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + index));
