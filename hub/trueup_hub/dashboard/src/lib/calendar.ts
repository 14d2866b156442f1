/** Where each day of a range stands in a calendar of weeks. */

import { addDays, daysBetween, weekday } from "./dates";
import type { Entry } from "./types";

export interface Day {
  entry: Entry;
  week: number; // column
  day: number; // row, 0 = Monday
}

export function daysOf(entries: Entry[]): Day[] {
  const first = entries[0];
  if (!first) return [];
  const monday = addDays(first.date, -weekday(first.date));
  return entries.map((entry) => {
    const since = daysBetween(monday, entry.date);
    return { entry, week: Math.floor(since / 7), day: since % 7 };
  });
}

/** Columns where a month begins, at least `apart` from each other so that their names do not touch. */
export function monthMarks(days: Day[], apart = 3): { week: number; date: string }[] {
  const marks: { week: number; date: string }[] = [];
  for (const { entry, week } of days) {
    const last = marks.at(-1);
    if (last && entry.date.slice(0, 7) === last.date.slice(0, 7)) continue;
    // A first month of which only some days are left gives way to the next one.
    if (last && week - last.week < apart) marks.pop();
    marks.push({ week, date: entry.date });
  }
  return marks;
}
