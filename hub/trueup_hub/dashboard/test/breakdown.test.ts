import { describe, expect, test } from "vitest";
import { columnsOf, MOST_TILES, sorted, treemapOf } from "../src/lib/breakdown";
import { basisOf, efficiencyOf } from "../src/lib/cache";
import { sumMayBeMore } from "../src/lib/metrics";
import { Colours } from "../src/lib/series";
import type { Breakdown, Part, Totals } from "../src/lib/types";

const covered = (events: number, reported = events, lower_bound = 0) => ({ events, reported, lower_bound, derived: 0 });
const part = (key: string | null, total: number | null, more: Partial<Totals> = {}, events = 10): Part =>
  ({
    ...{ key, label: null, events, peak_context_tokens: null, share: null },
    totals: { messages: 1, total_tokens: total, unpriced_tokens: 0, cost_microusd: total, ...more },
    coverage: {
      total_tokens: covered(events, total === null ? 0 : events),
      cost_microusd: covered(events, total === null ? 0 : events),
    },
  }) as unknown as Part;
const breakdown = (...rows: Part[]): Breakdown => ({ by: "model", rows }) as unknown as Breakdown;

describe("a treemap", () => {
  test("has the greatest part first, whatever the hub sorted by, with its share", () => {
    const { tiles } = treemapOf(breakdown(part("a", 25), part("b", 75)), "total_tokens", new Colours());
    expect(tiles.map(({ name, amount, share, alone }) => [name, amount, share, alone])).toEqual([
      ["b", "75", "75 %", true],
      ["a", "25", "25 %", true],
    ]);
  });

  test("draws the many small ones as one, losing nothing", () => {
    const many = Array.from({ length: 200 }, (_, n) => part(`m${n}`, n + 1));
    const { tiles } = treemapOf(breakdown(...many), "total_tokens", new Colours());
    expect(tiles).toHaveLength(MOST_TILES);
    expect(tiles.at(-1)).toMatchObject({ name: "161 others", alone: false, value: (161 * 162) / 2 });
    expect(tiles.reduce((sum, { value }) => sum + value, 0)).toBe((200 * 201) / 2);
  });

  test("counts what it cannot draw: not reported, and nothing of it", () => {
    const parts = [part("a", 5), part("b", null), part(null, 0), part("c", null, {}, 0)];
    expect(treemapOf(breakdown(...parts), "total_tokens", new Colours())).toMatchObject({ unknown: 1, none: 1 });
  });

  test("keeps the colour of a part", () => {
    const colours = new Colours();
    const slots = (...rows: Part[]) =>
      Object.fromEntries(
        treemapOf(breakdown(...rows), "total_tokens", colours).tiles.map((one) => [one.key, one.slot]),
      );
    const before = slots(part("a", 9), part("b", 5));
    expect(slots(part("c", 100), part("b", 50), part("a", 9))).toMatchObject(before);
  });
});

test("rows are sorted by any column, unknown ones last either way", () => {
  const rows = [part("b", 5), part("x", null), part("a", 70)];
  const [total] = columnsOf(breakdown(...rows), "total_tokens", ["total_tokens"]);
  const keys = (descending: boolean) => sorted(rows, total!, descending).map(({ key }) => key);
  expect([keys(true), keys(false)]).toEqual([
    ["a", "b", "x"],
    ["b", "a", "x"],
  ]);
});

test("columns are all metrics, what is rare only where it is used, and how much of it is known", () => {
  const rows = [part("a", 5, { undivided_tokens: 3 })];
  const columns = columnsOf(breakdown(...rows), "cost", ["messages", "total_tokens", "cost", "cache_write_1h_tokens"]);
  expect(columns.map(({ title }) => title)).toEqual([
    ...["Cost at list price", "Share", "Requests priced", "Requests", "Messages", "Total tokens", "Undivided"],
  ]);
});

test("a cost is a lower bound where tokens have no price, or are not all known; what is saved never is", () => {
  const priced = part("a", 5);
  expect(sumMayBeMore(priced, "cost")).toBe(false);
  expect(sumMayBeMore(part("a", 5, { unpriced_tokens: 1 }), "cost")).toBe(true);
  const partly = { ...priced, coverage: { total_tokens: covered(10, 9), cache_savings_microusd: covered(10, 9) } };
  expect([
    sumMayBeMore(partly, "cost"),
    sumMayBeMore(partly, "cache_savings"),
    sumMayBeMore(partly, "messages"),
  ]).toEqual([true, false, false]);
});

describe("cache efficiency", () => {
  const of = (input: number | null, read: number | null, write: number | null) =>
    efficiencyOf({
      totals: { input_tokens: input, cache_read_tokens: read, cache_write_tokens: write } as unknown as Totals,
    });

  test("is the part of all prompt tokens that was read, and unknown where input or reads are", () => {
    expect([of(10, 80, 10), of(20, 80, null), of(5, 0, null)]).toEqual([0.8, 0.8, 0]);
    expect([of(null, 80, 10), of(10, null, 10), of(0, 0, 0)]).toEqual([null, null, null]);
  });

  test("says of which requests it is", () => {
    const coverage = (write: number) => ({
      coverage: {
        ...{ input_tokens: covered(10), cache_read_tokens: covered(10) },
        cache_write_tokens: covered(10, write),
      },
    });
    expect(basisOf(coverage(10), "en")).toBe("of every request");
    expect(basisOf(coverage(6), "en")).toBe(
      "of what requests reported: cache reads 100 %, cache writes 60 %, fresh input 100 %",
    );
  });
});
