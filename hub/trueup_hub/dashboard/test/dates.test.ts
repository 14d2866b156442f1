import { describe, expect, test } from "vitest";
import { bucketName, tickName, tickPositions } from "../src/lib/axis";
import {
  addDays,
  daysBetween,
  isDay,
  presetOf,
  presetRange,
  stepRange,
  suitableGranularity,
  today,
  weekday,
} from "../src/lib/dates";

test("a day is one that exists", () => {
  expect(["2026-11-22", "2024-02-29", "2026-02-29", "2026-13-01", "22.11.2026", ""].map(isDay)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("days are counted without a zone, also where clocks change", () => {
  expect(addDays("2026-03-28", 2)).toBe("2026-03-30");
  expect(daysBetween("2026-03-01", "2026-11-01")).toBe(245);
  expect([weekday("2026-11-16"), weekday("2026-11-22")]).toEqual([0, 6]);
});

test("today depends on the zone", () => {
  const now = new Date("2026-11-22T23:30:00Z");
  expect([today("UTC", now), today("Asia/Kathmandu", now), today("America/New_York", now)]).toEqual([
    "2026-11-22",
    "2026-11-23",
    "2026-11-22",
  ]);
});

test("a preset ends today and has as many days as it says", () => {
  expect(presetRange("7d", "2026-11-22")).toEqual({ from: "2026-11-16", to: "2026-11-22" });
  expect(presetRange("today", "2026-11-22")).toEqual({ from: "2026-11-22", to: "2026-11-22" });
  expect(presetRange("all", "2026-11-22")).toEqual({ from: null, to: null });
});

test("this month ends today, the last one where it ended, also at the turn of a year", () => {
  expect(presetRange("month", "2026-11-22")).toEqual({ from: "2026-11-01", to: "2026-11-22" });
  expect(presetRange("last-month", "2026-11-22")).toEqual({ from: "2026-10-01", to: "2026-10-31" });
  expect(presetRange("last-month", "2026-01-01")).toEqual({ from: "2025-12-01", to: "2025-12-31" });
});

describe("stepping", () => {
  const steps = (from: string, to: string) =>
    ([-1, 1] as const).map((direction) => {
      const next = stepRange({ from, to }, direction, "2026-11-22");
      return next && `${next.from} ${next.to}`;
    });

  test("goes by as many days as there are", () => {
    expect(steps("2026-11-02", "2026-11-08")).toEqual(["2026-10-26 2026-11-01", "2026-11-09 2026-11-15"]);
    expect(steps("2026-11-16", "2026-11-22")).toEqual(["2026-11-09 2026-11-15", null]);
  });

  test("goes by months where those are shown, and the last one is as long as it is yet", () => {
    expect(steps("2026-10-01", "2026-10-31")).toEqual(["2026-09-01 2026-09-30", "2026-11-01 2026-11-22"]);
    expect(steps("2026-11-01", "2026-11-22")).toEqual(["2026-10-01 2026-10-31", null]);
    expect(steps("2026-01-01", "2026-03-31")).toEqual(["2025-10-01 2025-12-31", "2026-04-01 2026-06-30"]);
  });

  test("there and back again has the name that it had", () => {
    const names = (["today", "7d", "30d", "90d", "month", "last-month", "12m"] as const).map((preset) => {
      const days = presetRange(preset, "2026-11-22");
      const before = days.from === null ? null : stepRange(days, -1, "2026-11-22");
      const again = before && stepRange(before, 1, "2026-11-22");
      return again && presetOf(again, "2026-11-22");
    });
    expect(names).toEqual(["today", "7d", "30d", "90d", "month", "last-month", "12m"]);
  });
});

test("the step suits the range", () => {
  expect(
    ["2026-11-20", "2026-06-01", "2024-11-22", "2016-01-01"].map((from) => suitableGranularity(from, "2026-11-22")),
  ).toEqual(["hour", "day", "week", "month"]);
});

describe("axis", () => {
  test("labels have room, and the newest bucket has one", () => {
    for (const [count, most] of [
      [1, 8],
      [30, 8],
      [365, 3],
      [90, 16],
    ] as const) {
      const at = tickPositions(count, "day", most);
      expect(at.length).toBeLessThanOrEqual(most);
      expect(at.at(-1)).toBe(count - 1);
    }
  });

  test("the year is told where it begins", () => {
    expect(tickName("2026-01-05", "day", "2025-12-29", "en-GB")).toBe("5 Jan\n2026");
    expect(tickName("2026-01-12", "day", "2026-01-05", "en-GB")).toBe("12 Jan");
    expect(tickName("2026-01-01", "month", "2025-12-01", "en-GB")).toBe("Jan\n2026");
  });

  test("hours are told by the local clock that the hub cut them by", () => {
    expect(tickName("2026-10-25T02:00:00+01:00", "hour", "2026-10-25T02:00:00+02:00", "en-GB")).toBe("02:00");
    expect(bucketName("2026-10-25T02:00:00+02:00", "hour", "en-GB")).toBe("Sun, 25 Oct 2026, 02:00");
    expect(bucketName("2026-10-01", "month", "en-GB")).toBe("Oct 2026");
  });
});
