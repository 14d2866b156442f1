import { expect, test } from "vitest";
import { daysOfBucket } from "../src/lib/axis";

test("a bucket is days of the range, and nothing where it is all of it", () => {
  const range = { from: "2026-02-03", to: "2026-03-20" };
  expect(daysOfBucket("2026-02-10", "day", range)).toEqual({ from: "2026-02-10", to: "2026-02-10" });
  expect(daysOfBucket("2026-02-10T05:00+01:00", "hour", range)).toEqual({ from: "2026-02-10", to: "2026-02-10" });
  expect(daysOfBucket("2026-02-02", "week", range)).toEqual({ from: "2026-02-03", to: "2026-02-08" });
  expect(daysOfBucket("2026-02-01", "month", range)).toEqual({ from: "2026-02-03", to: "2026-02-28" });
  expect(daysOfBucket("2026-03-01", "month", range)).toEqual({ from: "2026-03-01", to: "2026-03-20" });
  const day = { from: "2026-02-10", to: "2026-02-10" };
  expect(daysOfBucket("2026-02-10T05:00+01:00", "hour", day)).toBeNull();
});
