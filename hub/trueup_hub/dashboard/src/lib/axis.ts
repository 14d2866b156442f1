/** Names of time buckets. `start` is a date, or for hours a local time with its offset, as the API gives it. */

import { addDays, longDay, monthName } from "./dates";

const dateOf = (start: string): string => start.slice(0, 10);
const clockOf = (start: string): string => start.slice(11, 16);

/** In full, for tooltips and tables. */
export function bucketName(start: string, granularity: string, locale?: string): string {
  const date = dateOf(start);
  if (granularity === "hour") return `${longDay(date, locale)}, ${clockOf(start)}`;
  if (granularity === "week") return `week of ${longDay(date, locale)}`;
  if (granularity === "month") return `${monthName(date, locale)} ${date.slice(0, 4)}`;
  return longDay(date, locale);
}

/** The days of a bucket, inside the range; null where that is the range itself, or a part of one day. */
export function daysOfBucket(start: string, granularity: string, range: { from: string; to: string }) {
  const first = dateOf(start);
  const last = granularity === "week" ? addDays(first, 6) : granularity === "month" ? lastOfMonth(first) : first;
  const [from, to] = [first < range.from ? range.from : first, last > range.to ? range.to : last];
  return from === range.from && to === range.to ? null : { from, to };
}

const lastOfMonth = (first: string): string => addDays(`${addDays(first, 31).slice(0, 8)}01`, -1);

/** As short as an axis needs; the year only where it begins or at the first label. */
export function tickName(start: string, granularity: string, before: string | undefined, locale?: string): string {
  const date = dateOf(start);
  const newYear = before === undefined || before.slice(0, 4) !== date.slice(0, 4);
  if (granularity === "hour") {
    const newDay = before === undefined || dateOf(before) !== date;
    return newDay ? `${clockOf(start)}\n${dayAndMonth(date, locale)}` : clockOf(start);
  }
  const name = granularity === "month" ? monthName(date, locale) : dayAndMonth(date, locale);
  return newYear ? `${name}\n${date.slice(0, 4)}` : name;
}

const dayAndMonth = (date: string, locale?: string): string =>
  new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone: "UTC" }).format(
    Date.parse(`${date}T00:00:00Z`),
  );

const STEPS: Record<string, number[]> = {
  hour: [1, 2, 3, 6, 12, 24, 48],
  day: [1, 2, 7, 14, 28, 56],
  week: [1, 2, 4, 8, 13, 26, 52],
  month: [1, 2, 3, 6, 12, 24],
};

/** Positions of at most `most` labels, at a step that a calendar knows, in phase with the last bucket. */
export function tickPositions(count: number, granularity: string, most: number): number[] {
  const needed = Math.ceil(count / Math.max(1, most));
  const step = (STEPS[granularity] ?? []).find((candidate) => candidate >= needed) ?? needed;
  const positions: number[] = [];
  for (let at = (count - 1) % step; at < count; at += step) positions.push(at);
  return positions;
}
