import { describe, expect, test } from "vitest";
import { compared, inFull, periodBefore, type Known } from "../src/lib/compare";

const known = (value: number | null, reported = 100, events = 100, lower_bound = 0): Known => ({
  ...{ kind: "tokens", value, mayBeMore: value !== null && (lower_bound > 0 || reported < events) },
  coverage: { events, reported, lower_bound, derived: 0 },
});
const count = (value: number): Known => ({ kind: "count", value, mayBeMore: false, coverage: null });
const words = (now: Known, before: Known) => compared(now, before, "reported", "en").words;

test("the period before has as many days and ends just before", () => {
  expect(periodBefore({ from: "2026-11-16", to: "2026-11-22" })).toEqual({ from: "2026-11-09", to: "2026-11-15" });
  expect(periodBefore({ from: "2026-03-01", to: "2026-03-01" })).toEqual({ from: "2026-02-28", to: "2026-02-28" });
});

describe("a change", () => {
  test("between what is known in full is told as it is", () => {
    expect([words(known(112), known(100)), words(known(92), known(100)), words(count(3), count(2))]).toEqual([
      "+12 %",
      "−8 %",
      "+50 %",
    ]);
    expect([words(count(2), count(2)), words(known(100_001), known(100_000)), words(known(0), known(8))]).toEqual([
      "±0 %",
      "+< 0.1 %",
      "−100 %",
    ]);
  });

  test("is never told over nothing: not over null, not over 0", () => {
    expect(words(known(5), known(null, 0, 0))).toBe("none before");
    expect(words(known(5), known(null, 0))).toBe("not reported before");
    expect(words(known(null, 0), known(5))).toBe("not reported now");
    expect(words(known(null, 0, 0), known(5))).toBe("none now");
    expect([words(count(5), count(0)), words(count(0), count(0))]).toEqual(["", "unchanged"]);
    for (const before of [known(null, 0, 0), known(null, 0), known(0), known(-5), count(0)])
      expect(words(known(5), before)).not.toContain("%");
  });

  test("is a bound where one side may be more, and about so much where both may", () => {
    expect(words(known(112, 98), known(100))).toBe("≥ +12 %");
    expect(words(known(112), known(100, 98))).toBe("≤ +12 %");
    expect(words(known(112, 97), known(100, 98))).toBe("≈ +12 %");
    expect(words(known(112, 100, 100, 3), known(100))).toBe("≥ +12 %");
  });

  test("is none where different parts of the requests reported", () => {
    const change = compared(known(200, 80), known(100, 40), "reported", "en");
    expect(change).toEqual({ words: "not comparable", from: "100", why: "40 % reported then, 80 % now" });
  });
});

test("what it was before is told in full to who asks", () => {
  const [now, before] = [known(2_000_000, 98), known(1_234_567, 97)];
  const period = { from: "2026-11-09", to: "2026-11-15" };
  expect(inFull(before, period, compared(now, before, "reported", "en"), "en")).toBe(
    "≥ 1,234,567 from 2026-11-09 to 2026-11-15 (97 % reported then, 98 % now)",
  );
});
