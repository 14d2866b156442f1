import { describe, expect, test } from "vitest";
import { average, clockOf, hourCells, moveByHour } from "../src/lib/hours";
import type { HourOfWeek } from "../src/lib/types";

const cell = (day_of_week: number, hour: number, value: number | null, hours = 1, events = 1) => ({
  ...{ day_of_week, hour, value, hours },
  coverage: { events, reported: value === null ? 0 : events, lower_bound: 0, derived: 0 },
});

test("an hour has on average what all such hours had, by how many there were", () => {
  expect(average(cell(0, 9, 9_000, 4))).toBe(2_250);
  expect(average(cell(0, 9, 1, 4))).toBe(0.25);
  expect(average(cell(0, 2, 10_001, 0.5))).toBe(20_002);
});

test("unknown stays unknown, and an hour that the range does not have is empty", () => {
  expect(average(cell(0, 9, null, 4))).toBeNull();
  expect(average(cell(0, 9, 0, 0))).toBeNull();
  const hours = {
    metric: "total_tokens",
    cells: [cell(0, 0, null), cell(0, 1, 0), cell(0, 2, 8, 2), cell(0, 3, 0, 0), cell(0, 4, null, 1, 0)],
  };
  const drawn = (hourly: "average" | "total") => hourCells(hours as HourOfWeek, hourly, () => "");
  expect(drawn("average").map((one) => one.look)).toEqual(["unreported", "zero", "value", "empty", "empty"]);
  expect(drawn("average").map((one) => one.value)).toEqual([null, 0, 4, null, null]);
  expect(drawn("total").map((one) => one.value)).toEqual([null, 0, 8, null, null]);
});

test("an hour is named by both of its ends", () => {
  expect([clockOf(9), clockOf(23)]).toEqual(["09:00 – 10:00", "23:00 – 00:00"]);
});

describe("keys", () => {
  const move = (key: string, index: number) => moveByHour(key, index, 168);
  test("move by hours in a day and by days at an hour, and never out of the week", () => {
    expect([move("ArrowRight", 23), move("ArrowLeft", 24), move("ArrowDown", 23), move("ArrowUp", 5)]).toEqual([
      23, 24, 47, 5,
    ]);
    expect([move("Home", 30), move("End", 30), move("PageUp", 30), move("PageDown", 30)]).toEqual([24, 47, 6, 150]);
  });
  test("that mean nothing are left to the browser", () => expect(move("Tab", 3)).toBeNull());
});
