import { expect, test } from "vitest";
import { mostSeries } from "../src/lib/size";

const year = { from: "2025-11-23", to: "2026-11-22" };

test("as many series are asked for as one answer can hold, and no more than a chart can use", () => {
  const limits = { activity_points: 20_000 };
  expect(["month", "week", "day", "hour"].map((step) => mostSeries(limits, year, step))).toEqual([
    "24",
    "24",
    "24",
    "2",
  ]);
  expect(mostSeries(limits, { from: "2016-01-01", to: "2026-11-22" }, "day")).toBe("2");
  expect(mostSeries({ activity_points: 1_000 }, year, "day")).toBe("2");
  expect(mostSeries({}, null, "hour")).toBe("24");
});
