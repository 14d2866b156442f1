/** The hours of a week: what each had, or what it had on average, as a range need not be whole weeks. */

import { levelsOf, lookOf, type GridCell } from "./grid";
import { mayBeMore } from "./metrics";
import type { Cell, HourOfWeek } from "./types";

const DAY = 24;
export const average = ({ value, hours }: Cell): number | null => {
  if (value === null || hours === 0) return null;
  const mean = value / hours;
  return Math.abs(mean) < 10 ? mean : Math.round(mean);
};

/** "09:00 – 10:00" */
export const clockOf = (hour: number): string =>
  `${String(hour).padStart(2, "0")}:00 – ${String((hour + 1) % DAY).padStart(2, "0")}:00`;

export type Hourly = "average" | "total";

/** A row for each day, a column for each hour; hours that the range does not have are empty. */
export function hourCells({ cells, metric }: HourOfWeek, hourly: Hourly, words: (cell: Cell) => string): GridCell[] {
  const values = cells.map((cell) => (hourly === "average" ? average(cell) : cell.hours === 0 ? null : cell.value));
  const levels = levelsOf(values);
  return cells.map((cell, index) => ({
    id: `${cell.day_of_week}-${cell.hour}`,
    row: cell.day_of_week,
    column: cell.hour,
    look: cell.hours === 0 ? "empty" : lookOf(cell),
    level: levels[index] ?? 0,
    value: values[index] ?? null,
    atLeast: mayBeMore(metric, cell.coverage),
    words: words(cell),
  }));
}

/** Where a key leads among 168 hours that come day by day. */
export function moveByHour(key: string, index: number, count: number): number | null {
  const hour = index % DAY;
  const wanted: Record<string, number> = {
    ArrowLeft: hour > 0 ? index - 1 : index,
    ArrowRight: hour < DAY - 1 ? index + 1 : index,
    ArrowUp: index - DAY,
    ArrowDown: index + DAY,
    Home: index - hour,
    End: index - hour + DAY - 1,
    PageUp: hour,
    PageDown: count - DAY + hour,
  };
  const next = wanted[key];
  if (next === undefined) return null;
  return next >= 0 && next < count ? next : index;
}
