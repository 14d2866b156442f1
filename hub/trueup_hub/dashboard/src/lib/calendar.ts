/** Where each day of a range stands in a calendar of weeks, and what its colour means. */

import { addDays, daysBetween, weekday } from "./dates";
import type { Entry } from "./types";

export interface Cell {
  entry: Entry;
  week: number; // column
  day: number; // row, 0 = Monday
}

export type Look = "empty" | "unreported" | "zero" | "value";

/** Nothing happened, happened but not reported, reported as zero, or a value. Four things that must not look alike. */
export function lookOf({ value, coverage }: Entry): Look {
  if (value === null) return coverage.events > 0 ? "unreported" : "empty";
  return value === 0 ? "zero" : "value";
}

export function cellsOf(entries: Entry[]): Cell[] {
  const first = entries[0];
  if (!first) return [];
  const monday = addDays(first.date, -weekday(first.date));
  return entries.map((entry) => {
    const since = daysBetween(monday, entry.date);
    return { entry, week: Math.floor(since / 7), day: since % 7 };
  });
}

/** Columns where a month begins, at least three weeks apart so that their names do not touch. */
export function monthMarks(cells: Cell[]): { week: number; date: string }[] {
  const marks: { week: number; date: string }[] = [];
  for (const { entry, week } of cells) {
    const last = marks.at(-1);
    if (last && entry.date.slice(0, 7) === last.date.slice(0, 7)) continue;
    // A first month of which only some days are left gives way to the next one.
    if (last && week - last.week < 3) marks.pop();
    marks.push({ week, date: entry.date });
  }
  return marks;
}

/** The cell that a key leads to from `index`; the same one where it leads out of the range. */
export function moveTo(key: string, index: number, count: number): number | null {
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const steps: Record<string, number> = {
    ArrowUp: -1,
    ArrowDown: 1,
    ArrowLeft: -7,
    ArrowRight: 7,
    PageUp: -28,
    PageDown: 28,
  };
  const step = steps[key];
  if (step === undefined) return null;
  const leadsOut = index + step < 0 || index + step >= count;
  if (Math.abs(step) === 7 && leadsOut) return index; // a week more or less is the same weekday or nothing
  return Math.min(count - 1, Math.max(0, index + step));
}

/** What each colour stands for: `[lowest, highest]` of the days that have it, where there are any. */
export function levelRanges(entries: Entry[], levels: number): ([number, number] | null)[] {
  const ranges: ([number, number] | null)[] = new Array<null>(levels + 1).fill(null);
  for (const { value, level } of entries) {
    if (value === null) continue;
    const range = ranges[level];
    ranges[level] = range ? [Math.min(range[0], value), Math.max(range[1], value)] : [value, value];
  }
  return ranges;
}
