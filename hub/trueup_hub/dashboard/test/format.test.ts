import { describe, expect, test } from "vitest";
import {
  ago,
  brief,
  clock,
  compact,
  compactDollars,
  coverageWords,
  dollars,
  exact,
  full,
  gapWords,
  isLowerBound,
  percent,
  share,
  short,
} from "../src/lib/format";

const covered = (events: number, reported: number, lower_bound = 0, derived = 0) => ({
  events,
  reported,
  lower_bound,
  derived,
});

describe("numbers", () => {
  test("what was not reported is a dash, and zero is zero", () => {
    for (const write of [compact, exact, dollars, compactDollars]) expect(write(null, "en")).toBe("—");
    expect([compact(0, "en"), dollars(0, "en")]).toEqual(["0", "$0.00"]);
    expect([short("money", null), full("tokens", null)]).toEqual(["—", "—"]);
  });

  test("short ones are whole, long ones have three digits", () => {
    expect([9_999, 10_000, 1_834_022, 12_345_678_901].map((n) => compact(n, "en"))).toEqual([
      "9,999",
      "10.0K",
      "1.83M",
      "12.3B",
    ]);
    expect(exact(1_834_022, "en")).toBe("1,834,022");
    expect(exact(Number.MAX_SAFE_INTEGER, "en")).toBe("9,007,199,254,740,991");
  });

  test("they are written as the reader's language does", () => {
    expect(exact(9_007_199_254_740_992, "en")).toBe("≈ 9,007,199,254,740,990"); // or one more: nobody here can tell
    expect(exact(1_834_022, "de")).toBe("1.834.022");
  });

  test("microdollars become dollars, and less than a cent is not nothing", () => {
    expect(dollars(1_234_567_890, "en")).toBe("$1,234.57");
    expect(dollars(1_234, "en")).toBe("$0.0012");
    expect(compactDollars(98_765_432_100, "en")).toBe("$98.8K");
  });
});

test("an axis has round numbers", () => {
  expect([brief("tokens", 0, "en"), brief("tokens", 10_000_000, "en"), brief("money", 2_500_000, "en")]).toEqual([
    "0",
    "10M",
    "$2.5",
  ]);
});

describe("coverage", () => {
  test("100 % is said only of all", () => {
    expect(percent(5170, 5196, "en")).toBe("99.4 %");
    expect(percent(999_999, 1_000_000, "en")).toBe("99.9 %");
    expect(percent(1, 1_000, "en")).toBe("< 1 %");
    expect(percent(0, 1_000, "en")).toBe("0 %");
  });

  test("a share is rounded, but is never nothing", () => {
    expect([share(0.336, "en"), share(0.001, "en"), share(0, "en"), share(1, "en")]).toEqual([
      "34 %",
      "< 1 %",
      "0 %",
      "100 %",
    ]);
  });

  test("is told in words", () => {
    expect(coverageWords(covered(5196, 5170, 412, 3), "en")).toBe(
      "99.4 % of requests reported · 412 lower bounds · 3 derived",
    );
    expect(coverageWords(covered(9, 9, 1), "en")).toBe("reported by every request · 1 lower bound");
    expect(coverageWords(covered(9, 0), "en")).toBe("not reported");
    expect(coverageWords(covered(0, 0), "en")).toBe("no requests");
    expect(coverageWords(undefined, "en")).toBe("no requests");
  });
});

test("a sum may be less than the truth where a request gave less than all of it, or nothing", () => {
  expect(
    [covered(9, 9), covered(9, 8), covered(9, 9, 1), covered(0, 0), covered(9, 9, 0, 4)].map(isLowerBound),
  ).toEqual([false, true, true, false, false]);
  expect(isLowerBound(undefined)).toBe(false);
});

test("times are told by how long ago they were", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  expect([1_000, 100_000, 7_200_000, 3 * 86_400_000].map((ms) => ago(now - ms, now))).toEqual([
    "just now",
    "2 minutes ago",
    "2 hours ago",
    "3 days ago",
  ]);
});

test("a time of another day has its date", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  expect(clock("2026-11-22T09:05:00Z", now, "UTC", "en-GB")).toBe("09:05");
  expect(clock("2026-11-21T23:30:00Z", now, "UTC", "en-GB")).toBe("21 Nov 2026, 23:30");
  expect(clock("2026-11-21T23:30:00Z", now, "Europe/Berlin", "en-GB")).toBe("00:30");
});

test("beside a sum that requests are missing from stands how much of it was told", () => {
  expect(gapWords(5, covered(3, 3, 1), "en")).toBeNull();
  expect(gapWords(5, covered(4, 3), "en")).toBe("75 % reported");
  // A total may be known in part though no request told all of it
  expect(gapWords(331_000, covered(4, 0), "en")).toBe("reported in part");
  expect(gapWords(null, covered(4, 0), "en")).toBeNull();
});
