/** Values on a grid of rows and columns, coloured by their rank: the calendar, and the hours of a week. */

import type { Coverage } from "./types";

export type Look = "empty" | "unreported" | "zero" | "value";

export interface GridCell {
  id: string;
  row: number;
  column: number;
  look: Look;
  level: number; // 1 … LEVELS where there is a value above 0
  value: number | null;
  atLeast: boolean;
  words: string; // what stands there, for tooltip and screen reader
}

export const LEVELS = 4;

/** How a cell is painted; `hatch` is the address of a pattern. */
export function paintOf({ look, level }: Pick<GridCell, "look" | "level">, hatch: string) {
  if (look === "unreported") return { fill: hatch };
  if (look === "empty") return { fill: "transparent", stroke: "var(--line)" };
  if (look === "zero" || level === 0)
    return { fill: "var(--level-0)", stroke: "var(--line-strong)", "stroke-width": 0.6 };
  return { fill: `var(--level-${level})` };
}

/** Nothing happened, happened but not reported, reported as zero, or a value. Four things that must not look alike. */
export function lookOf({ value, coverage }: { value: number | null; coverage: Coverage }): Look {
  if (value === null) return coverage.events > 0 ? "unreported" : "empty";
  return value === 0 ? "zero" : "value";
}

/** As the hub ranks days: the quarter, among values above 0, in which each lies. */
export function levelsOf(values: (number | null)[]): number[] {
  const sorted = values.filter((value) => value !== null && value > 0).sort((a, b) => (a ?? 0) - (b ?? 0));
  const upTo = new Map(sorted.map((value, index) => [value, index + 1]));
  return values.map((value) => Math.ceil((LEVELS * (upTo.get(value) ?? 0)) / Math.max(1, sorted.length)));
}

/** What each colour stands for: `[lowest, highest]` of the cells that have it, where there are any. */
export function levelRanges(cells: { value: number | null; level: number }[]): ([number, number] | null)[] {
  const ranges: ([number, number] | null)[] = new Array<null>(LEVELS + 1).fill(null);
  for (const { value, level } of cells) {
    if (value === null) continue;
    const range = ranges[level];
    ranges[level] = range ? [Math.min(range[0], value), Math.max(range[1], value)] : [value, value];
  }
  return ranges;
}

/** Where a key leads on a grid whose cells come column by column, from the top to the bottom of each. */
export function moveDown(key: string, index: number, count: number, height: number): number | null {
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const steps: Record<string, number> = {
    ArrowUp: -1,
    ArrowDown: 1,
    ArrowLeft: -height,
    ArrowRight: height,
    PageUp: -4 * height,
    PageDown: 4 * height,
  };
  const step = steps[key];
  if (step === undefined) return null;
  const leadsOut = index + step < 0 || index + step >= count;
  if (Math.abs(step) === height && leadsOut) return index; // a column more or less is the same row or nothing
  return Math.min(count - 1, Math.max(0, index + step));
}
