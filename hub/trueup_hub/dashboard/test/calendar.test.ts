import { describe, expect, test } from "vitest";
import { daysOf, monthMarks } from "../src/lib/calendar";
import { addDays } from "../src/lib/dates";
import { levelRanges, levelsOf, lookOf, moveDown } from "../src/lib/grid";

const entry = (date: string, value: number | null, events = 1, level = 0) => ({
  date,
  value,
  level,
  coverage: { events, reported: value === null ? 0 : events, lower_bound: 0, derived: 0 },
});
const range = (from: string, days: number) => Array.from({ length: days }, (_, day) => entry(addDays(from, day), 1));

test("nothing happened, not reported, zero and a value are four things", () => {
  expect([entry("d", null, 0), entry("d", null, 3), entry("d", 0), entry("d", 7)].map(lookOf)).toEqual([
    "empty",
    "unreported",
    "zero",
    "value",
  ]);
});

test("weeks begin on Monday", () => {
  const places = daysOf(range("2026-11-20", 4)).map(({ week, day }) => [week, day]);
  expect(places).toEqual([
    [0, 4],
    [0, 5],
    [0, 6],
    [1, 0],
  ]);
  expect(daysOf([])).toEqual([]);
});

test("names of months do not touch", () => {
  const marks = monthMarks(daysOf(range("2025-11-28", 200)));
  expect(marks[0]?.date).toBe("2025-12-01");
  for (const [index, mark] of marks.entries())
    if (index) expect(mark.week - (marks[index - 1]?.week ?? 0)).toBeGreaterThanOrEqual(3);
});

describe("keys", () => {
  test("move by days and weeks, and never out of the range", () => {
    expect(moveDown("ArrowRight", 0, 30, 7)).toBe(7);
    expect(moveDown("ArrowRight", 25, 30, 7)).toBe(25);
    expect(moveDown("ArrowUp", 0, 30, 7)).toBe(0);
    expect([
      moveDown("Home", 20, 30, 7),
      moveDown("End", 20, 30, 7),
      moveDown("PageDown", 20, 30, 7),
      moveDown("Home", 6, 7, 7),
    ]).toEqual([0, 29, 29, 0]);
  });

  test("that mean nothing are left to the browser", () => {
    expect(moveDown("Tab", 3, 30, 7)).toBeNull();
  });
});

test("a colour says which values it stands for", () => {
  const cells = [entry("a", 3, 1, 1), entry("b", 9, 1, 1), entry("c", 70, 1, 4), entry("d", null, 1, 0)];
  expect(levelRanges(cells)).toEqual([null, [3, 9], null, null, [70, 70]]);
});

test("levels are quarters by rank, as those of the hub: equals are equal, and what is not above 0 has none", () => {
  expect(levelsOf([5, null, 0, -2])).toEqual([4, 0, 0, 0]);
  expect(levelsOf([1, 2, 3, 4, 5, 6, 7, 8])).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  expect(levelsOf([7, 7, 1])).toEqual([4, 4, 2]);
});
