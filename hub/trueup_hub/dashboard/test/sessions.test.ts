import { describe, expect, test } from "vitest";
import { cellOf, columnsOf, orderWords, qualityWords, shortId, sumOf } from "../src/lib/sessions";
import type { SessionItem } from "../src/lib/types";

const SORTS = ["started_at", "last_active_at", "messages", "output_tokens", "cost", "cache_savings"];

function session(output: number | null, lower = 0, messages: number | null = 3): SessionItem {
  const coverage = { events: 2, reported: output === null ? 0 : 2, lower_bound: lower, derived: 0 };
  const given = { messages, totals: { output_tokens: output }, coverage: { output_tokens: coverage } };
  return given as unknown as SessionItem;
}

describe("columns of sessions", () => {
  test("those that the hub sorts by can be sorted, others cannot", () => {
    const sorts = new Map(columnsOf(SORTS, "started_at").map(({ name, sort }) => [name, sort]));
    expect(sorts.get("started_at")).toBe("started_at");
    expect(sorts.get("output_tokens")).toBe("output_tokens");
    expect(sorts.get("input_tokens")).toBeNull();
    expect(sorts.get("session")).toBeNull();
  });

  test("what is sorted by is always seen", () => {
    const names = (sort: string) => columnsOf(SORTS, sort).map(({ name }) => name);
    expect(names("started_at")).not.toContain("cache_savings");
    expect(names("cache_savings")).toContain("cache_savings");
    expect(new Set(names("cost")).size).toBe(names("cost").length);
  });

  test("on a narrow screen what is sorted by comes beside the name, and none is left out", () => {
    const narrow = columnsOf(SORTS, "messages", null, true).map(({ name }) => name);
    expect(narrow.slice(0, 4)).toEqual(["session", "messages", "total_tokens", "cost"]);
    expect(narrow.toSorted()).toEqual(
      columnsOf(SORTS, "messages")
        .map(({ name }) => name)
        .toSorted(),
    );
  });

  test("a doubt that was asked for has its extent", () => {
    const found = columnsOf(SORTS, "cost", "Such requests").find(({ name }) => name === "of_quality");
    expect(found).toMatchObject({ label: "Such requests", sort: null });
    expect(cellOf({ of_quality: 4 } as SessionItem, "of_quality").value).toBe(4);
  });

  test("the order is called by what it orders", () => {
    expect(orderWords("started_at", "desc")).toBe("Newest first");
    expect(orderWords("cost", "asc")).toBe("Least first");
  });
});

describe("the sum of what is loaded", () => {
  test("is unknown where nothing was reported, and 0 where 0 was", () => {
    expect(sumOf([session(null), session(null)], "output_tokens").value).toBeNull();
    expect(sumOf([session(0), session(null)], "output_tokens").value).toBe(0);
    expect(sumOf([], "output_tokens").value).toBeNull();
  });

  test("says at least so much where one of them has a lower bound or reported nothing", () => {
    expect(sumOf([session(10, 1), session(5)], "output_tokens")).toEqual({ value: 15, atLeast: true });
    expect(sumOf([session(5), session(null)], "output_tokens")).toEqual({ value: 5, atLeast: true });
    expect(sumOf([session(5), session(7)], "output_tokens")).toEqual({ value: 12, atLeast: false });
  });

  test("messages need no coverage", () => {
    expect(cellOf(session(1), "messages")).toEqual({ value: 3, coverage: undefined });
  });
});

test("a filter of quality is told in words", () => {
  expect(qualityWords("lower_bound", "output_tokens")).toBe("with lower bounds of output tokens");
  expect(qualityWords("unreported", null)).toBe("with requests that did not report total tokens");
  expect(qualityWords("some_news", null)).toBe("some news");
});

test("a session is called by its harness's name for it, else by the hub's", () => {
  expect(shortId({ id: "abcdef0123456789", session_id: "019d7e8e-fef6" })).toBe("019d7e8e");
  expect(shortId({ id: "abcdef0123456789", session_id: null })).toBe("abcdef01");
});
