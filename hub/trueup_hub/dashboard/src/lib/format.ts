/** Numbers and times as people read them. Unknown is `—`, never 0. Locale: the browser's, an argument for tests. */

import type { Coverage } from "./types";

export const UNKNOWN = "—";
export type Kind = "count" | "tokens" | "money";

const cache = new Map<string, Intl.NumberFormat>();

function numberFormat(options: Intl.NumberFormatOptions, locale?: string): Intl.NumberFormat {
  const key = `${locale ?? ""} ${JSON.stringify(options)}`;
  let found = cache.get(key);
  if (!found) cache.set(key, (found = new Intl.NumberFormat(locale, options)));
  return found;
}

/** At most four digits before it is shortened: 9,999 then 10K, 1.83M. */
export function compact(value: number | null, locale?: string): string {
  if (value === null) return UNKNOWN;
  if (Math.abs(value) < 10_000) return exact(value, locale);
  return numberFormat({ notation: "compact", minimumSignificantDigits: 3, maximumSignificantDigits: 3 }, locale).format(
    value,
  );
}

/** Beyond what JavaScript counts one by one, as far as it is true: 15 digits, and that there are more. */
export function exact(value: number | null, locale?: string): string {
  if (value === null) return UNKNOWN;
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER)
    return `≈ ${numberFormat({ maximumSignificantDigits: 15 }, locale).format(value)}`;
  return numberFormat({ maximumFractionDigits: 2 }, locale).format(value);
}

/** For an axis, whose numbers are round: 10M, not 10.0M; and which has little room: 4E17, not 400,000T. */
export function brief(kind: Kind, value: number, locale?: string): string {
  const notation = Math.abs(value) < (kind === "money" ? 1e21 : 1e15) ? "compact" : "scientific";
  const options: Intl.NumberFormatOptions = { notation, maximumSignificantDigits: 3 };
  if (kind !== "money") return numberFormat(options, locale).format(value);
  const dollars = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" } as const;
  return numberFormat({ ...options, ...dollars }, locale).format(value / 1e6);
}

/** Microdollars as dollars; a fraction of a cent keeps the digits that make it more than zero. */
export function dollars(micros: number | null, locale?: string): string {
  if (micros === null) return UNKNOWN;
  const value = micros / 1e6;
  const tiny = value !== 0 && Math.abs(value) < 0.01;
  const options: Intl.NumberFormatOptions = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" };
  if (tiny) options.maximumSignificantDigits = 2;
  return numberFormat(options, locale).format(value);
}

export function compactDollars(micros: number | null, locale?: string): string {
  if (micros === null || Math.abs(micros) < 1e10) return dollars(micros, locale);
  const options: Intl.NumberFormatOptions = {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    notation: "compact",
    minimumSignificantDigits: 3,
    maximumSignificantDigits: 3,
  };
  return numberFormat(options, locale).format(micros / 1e6);
}

export function short(kind: Kind, value: number | null, locale?: string): string {
  return kind === "money" ? compactDollars(value, locale) : compact(value, locale);
}

export function full(kind: Kind, value: number | null, locale?: string): string {
  return kind === "money" ? dollars(value, locale) : exact(value, locale);
}

/** Rounded down, so that 100 % means all of it. */
export function percent(part: number, whole: number, locale?: string): string {
  if (whole <= 0) return UNKNOWN;
  const share = (part / whole) * 100;
  if (part < whole && share > 99)
    return `${numberFormat({ minimumFractionDigits: 1, maximumFractionDigits: 1 }, locale).format(Math.floor(share * 10) / 10)} %`;
  if (part > 0 && share < 1) return "< 1 %";
  return `${exact(Math.floor(share), locale)} %`;
}

/** A part of a whole, 0 to 1, rounded to what adds up best. */
export function share(part: number, locale?: string): string {
  if (part > 0 && part < 0.005) return "< 1 %";
  return `${exact(Math.round(part * 100), locale)} %`;
}

/** How well a sum is known, in words: what share of the requests reported it, and how exactly. */
export function coverageWords(coverage: Coverage | undefined, locale?: string): string {
  if (!coverage || coverage.events === 0) return "no requests";
  if (coverage.reported === 0) return "not reported";
  const words = [
    coverage.reported === coverage.events
      ? "reported by every request"
      : `${percent(coverage.reported, coverage.events, locale)} of requests reported`,
  ];
  if (coverage.lower_bound > 0)
    words.push(`${exact(coverage.lower_bound, locale)} ${plural(coverage.lower_bound, "lower bound")}`);
  if (coverage.derived > 0) words.push(`${exact(coverage.derived, locale)} derived`);
  return words.join(" · ");
}

/**
 * The true sum may be greater: some requests gave less than all of it, or nothing. It is what `≥` says, here and in the
 * tables of the terminal.
 */
export const isLowerBound = (coverage: Coverage | undefined): boolean =>
  coverage !== undefined && (coverage.lower_bound > 0 || coverage.reported < coverage.events);

/** Beside a sum that requests are missing from: how much of it was told, where that says more than `≥` or `—` does. */
export function gapWords(value: number | null, coverage: Coverage | undefined, locale?: string): string | null {
  if (!coverage || value === null || coverage.reported === coverage.events) return null;
  return coverage.reported === 0
    ? "reported in part"
    : `${percent(coverage.reported, coverage.events, locale)} reported`;
}

export function plural(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}

/** "3 minutes ago", from the two times in milliseconds. */
export function ago(then: number, now: number, locale?: string): string {
  const seconds = Math.round((then - now) / 1000);
  const format = new Intl.RelativeTimeFormat(locale ?? "en", { numeric: "auto" });
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [
    [60, "second"],
    [3600, "minute"],
    [86_400, "hour"],
    [Infinity, "day"],
  ];
  let per = 1;
  for (const [limit, unit] of steps) {
    if (Math.abs(seconds) < limit)
      return seconds > -5 && seconds < 5 ? "just now" : format.format(Math.round(seconds / per), unit);
    per = limit;
  }
  return UNKNOWN;
}

/** "3 days", "2 hours 5 minutes": the two largest units that matter. */
export function span(seconds: number, locale?: string): string {
  const parts: string[] = [];
  let left = Math.max(0, Math.round(seconds));
  for (const [unit, size] of UNITS) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number > 0 || (size === 1 && parts.length === 0))
      parts.push(numberFormat({ style: "unit", unit, unitDisplay: "long" }, locale).format(number));
    if (parts.length === 2 || (parts.length === 1 && number === 0)) break;
  }
  return parts.join(" ");
}
const UNITS: [string, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** Time of day, with the date where it is another day than `now`. */
export function clock(iso: string, now: number, timezone: string, locale?: string): string {
  const day = new Intl.DateTimeFormat("en-CA", { timeZone: timezone });
  if (day.format(new Date(iso)) !== day.format(now)) return instant(iso, timezone, locale);
  return new Intl.DateTimeFormat(locale, { timeStyle: "short", timeZone: timezone }).format(new Date(iso));
}

/** An instant in the page's time zone: date, and time of day where it matters. */
export function instant(iso: string | null, timezone: string, locale?: string): string {
  if (iso === null) return UNKNOWN;
  const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", timeZone: timezone });
  return format.format(new Date(iso));
}
