import { describe, expect, test } from "vitest";
import { chartOf, Colours, isRest, SLOTS, stack, sum, together } from "../src/lib/series";
import type { Activity } from "../src/lib/types";

const point = (start: string, total: number | null, events = 1) => ({
  start,
  totals: { total_tokens: total, unpriced_tokens: 0 },
  coverage: { total_tokens: { events, reported: total === null ? 0 : events, lower_bound: 0, derived: 0 } },
});
const activity = (...series: [string | null, (number | null)[]][]): Activity =>
  ({
    granularity: "day",
    group_by: "model",
    series: series.map(([key, values]) => ({
      key,
      label: key,
      points: values.map((value, day) => point(`2026-11-0${day + 1}`, value)),
    })),
  }) as unknown as Activity;

test("unknown adds nothing, and over nothing known the sum is unknown", () => {
  expect([sum([1, null, 2]), sum([null, null]), sum([]), sum([0])]).toEqual([3, null, null, 0]);
});

describe("chart", () => {
  test("has the greatest part first and leaves out what reported nothing, but counts its gap", () => {
    const chart = chartOf(
      activity(["small", [1, 2]], ["great", [10, null]], [null, [null, null]]),
      "total_tokens",
      new Colours(),
    );
    expect(chart.parts.map((part) => [part.label, part.total])).toEqual([
      ["great", 10],
      ["small", 3],
    ]);
    expect(chart.gaps[1]).toEqual({ events: 3, reported: 1, lower_bound: 0, derived: 0 });
  });

  test("calls a series without a key unknown, which is not one that is called so", () => {
    const chart = chartOf(activity([null, [2]], ["unknown model", [1]]), "total_tokens", new Colours());
    expect(chart.parts.map((part) => part.label)).toEqual(["unknown model", "unknown model"]);
    expect(new Set(chart.parts.map((part) => part.id)).size).toBe(2);
  });

  test("draws what has no colour of its own together, losing nothing", () => {
    const many = Array.from({ length: 12 }, (_, n): [string, number[]] => [`m${n}`, [100 - n, 1]]);
    const { parts } = chartOf(activity(...many), "total_tokens", new Colours());
    expect(parts).toHaveLength(SLOTS);
    expect(parts.filter(isRest).map((part) => [part.label, part.slot])).toEqual([["5 others", SLOTS]]);
    expect(sum(parts.map((part) => part.total))).toBe(sum(many.flatMap(([, values]) => values)));
  });

  test("says of each value, and of those drawn together, whether the truth may be more", () => {
    const many = Array.from({ length: 12 }, (_, n): [string, (number | null)[]] => [
      `m${n}`,
      [100 - n, n === 11 ? null : 1],
    ]);
    const chart = chartOf(activity(...many), "total_tokens", new Colours());
    expect(chart.parts.map((part) => part.least)).toEqual([...Array(7).fill([false, false]), [false, true]]);
    expect(chartOf(activity(["a", [1, null]]), "messages", new Colours()).parts).toEqual([]);
  });

  test("tells a bucket in which nothing was reported from an empty one", () => {
    const day = activity(["a", [null, 1]], ["b", [null, null]]);
    day.series.forEach((one) => one.points.push({ ...point("2026-11-03", null, 0) } as never));
    expect(chartOf(day, "total_tokens", new Colours()).silent).toEqual([true, false, false]);
    expect(together(activity(["a", [1, null]], ["b", [2, null]]), "total_tokens")).toEqual([3, null]);
  });

  test("stands each part on those that are shown below it", () => {
    const { parts } = chartOf(activity(["a", [5, 5]], ["b", [3, null]], ["c", [1, 1]]), "total_tokens", new Colours());
    expect(stack(parts, new Set(), 2)).toEqual([
      [5, 5],
      [8, null],
      [9, 6],
    ]);
    expect(stack(parts, new Set(["=a"]), 2)).toEqual([
      [null, null],
      [3, null],
      [4, 1],
    ]);
  });
});

test("a colour stays with its series, and no two that are shown have the same", () => {
  const colours = new Colours();
  expect(colours.assign(["a", "b", "c"])).toEqual([0, 1, 2]);
  expect(colours.assign(["c", "x", "a"])).toEqual([2, 1, 0]);
  for (let round = 0; round < 5; round++) {
    const shown = Array.from({ length: SLOTS }, (_, n) => `r${round}-${n}`);
    expect(new Set(colours.assign(shown)).size).toBe(SLOTS);
  }
});

test("what the hub put together is drawn with the rest, and counted as what it is", () => {
  const given = activity(["a", [5]], [null, [9]]);
  given.series[1]!.others = 30;
  const chart = chartOf(given, "total_tokens", new Colours());
  expect(chart.parts.map(({ label, total }) => [label, total])).toEqual([
    ["a", 5],
    ["30 others", 9],
  ]);
});
