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

export const PRESETS = ["7d", "30d", "90d", "12m", "all", "custom"] as const;
export type Preset = (typeof PRESETS)[number];
export const PRESET_WORDS: Record<Preset, string> = {
  "7d": "7 days",
  "30d": "30 days",
  "90d": "90 days",
  "12m": "12 months",
  all: "All",
  custom: "Dates",
};

/** First and last day of a preset; nulls for everything there is. */
export function presetRange(preset: Preset, lastDay: string): { from: string | null; to: string | null } {
  const lengths: Partial<Record<Preset, number>> = { "7d": 7, "30d": 30, "90d": 90, "12m": 365 };
  const length = lengths[preset];
  return length === undefined ? { from: null, to: null } : { from: addDays(lastDay, 1 - length), to: lastDay };
}

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
