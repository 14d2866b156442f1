import { expect, test } from "vitest";
import { byCode, byFlag, logsOf, parsersOf } from "../src/lib/doubts";
import { bandsOf, countersOf, daysOfBucket, moveIn, partsOf, together } from "../src/lib/quality";
import type { Activity, Coverage, HostReport, HostTrust, Part, RejectedRow, Source } from "../src/lib/types";

const known = (events: number, reported: number, lower_bound = 0, derived = 0): Coverage => ({
  events,
  reported,
  lower_bound,
  derived,
});

test("the parts of a coverage are all of its requests, each once", () => {
  expect(partsOf(known(10, 7, 2, 1))).toEqual({ exact: 4, lower_bound: 2, derived: 1, unreported: 3 });
  expect(partsOf(known(4, 4))).toEqual({ exact: 4, lower_bound: 0, derived: 0, unreported: 0 });
  expect(partsOf(known(3, 2, 2, 2))).toEqual({ exact: 0, lower_bound: 2, derived: 0, unreported: 1 });
  expect(partsOf(undefined)).toEqual({ exact: 0, lower_bound: 0, derived: 0, unreported: 0 });
});

test("coverages add up field by field", () => {
  expect(together([known(1, 1), undefined, known(3, 2, 1, 1)])).toEqual(known(4, 3, 1, 1));
});

test("undivided counters have a column only where somebody reports them; others also where nobody does", () => {
  const row = (undivided: Coverage): Pick<Part, "coverage"> => ({
    coverage: { total_tokens: known(2, 2), reasoning_tokens: known(2, 0), undivided_tokens: undivided },
  });
  const names = (...rows: Pick<Part, "coverage">[]) => countersOf(rows).map(({ name }) => name);
  expect(names(row(known(2, 0)))).toEqual(["total_tokens", "reasoning_tokens"]);
  expect(names(row(known(2, 0)), row(known(2, 1)))).toEqual(["total_tokens", "reasoning_tokens", "undivided_tokens"]);
});

const series = (key: string | null, ...coverages: Coverage[]) => ({
  key,
  label: key,
  points: coverages.map((coverage, at) => ({
    start: `2026-11-0${at + 2}`,
    totals: {},
    coverage: { total_tokens: coverage },
  })),
});
const activity = (...all: ReturnType<typeof series>[]) => ({ series: all }) as unknown as Activity;

test("the first band is all series together, then they come by their requests; what has none is left out", () => {
  const bands = bandsOf(
    activity(
      series("codex", known(1, 0), known(0, 0)),
      series(null, known(2, 2, 1), known(4, 3)),
      series("none", known(0, 0)),
    ),
    "total_tokens",
    "unknown harness",
  );
  expect(bands.map(({ label, all }) => [label, all])).toEqual([
    ["All together", known(7, 5, 1)],
    ["unknown harness", known(6, 5, 1)],
    ["codex", known(1, 0)],
  ]);
  expect(bands[0]?.points).toEqual([known(3, 2, 1), known(4, 3)]);
});

test("more series than can be told apart are one band of others, and nothing is lost", () => {
  const many = Array.from({ length: 12 }, (_, at) => series(`h${at}`, known(at + 1, at)));
  const bands = bandsOf(activity(...many), "total_tokens", "");
  expect(bands).toHaveLength(9);
  expect(bands.at(-1)?.label).toBe("5 others");
  expect(together(bands.slice(1).map(({ all }) => all))).toEqual(bands[0]?.all);
});

test("one series alone needs no sum beside it", () => {
  expect(bandsOf(activity(series("codex", known(1, 1))), "total_tokens", "").map(({ label }) => label)).toEqual([
    "codex",
  ]);
});

test("a bucket is its days inside the range", () => {
  const days = (start: string, granularity: string) =>
    daysOfBucket(start, { granularity, from: "2026-01-30", to: "2026-12-30" } as Activity);
  expect(days("2026-11-02", "day")).toEqual({ from: "2026-11-02", to: "2026-11-02" });
  expect(days("2026-11-02T13:00:00+01:00", "hour")).toEqual({ from: "2026-11-02", to: "2026-11-02" });
  expect(days("2026-01-26", "week")).toEqual({ from: "2026-01-30", to: "2026-02-01" });
  expect(days("2026-02-01", "month")).toEqual({ from: "2026-02-01", to: "2026-02-28" });
  expect(days("2026-12-01", "month")).toEqual({ from: "2026-12-01", to: "2026-12-30" });
});

test("keys move inside the bands and never out of them", () => {
  expect(moveIn("ArrowRight", [0, 1], 2, 3)).toEqual([0, 2]);
  expect(moveIn("ArrowRight", [0, 2], 2, 3)).toEqual([0, 2]);
  expect(moveIn("ArrowUp", [0, 2], 2, 3)).toEqual([0, 2]);
  expect(moveIn("ArrowDown", [0, 2], 2, 3)).toEqual([1, 2]);
  expect(moveIn("Home", [1, 2], 2, 3)).toEqual([1, 0]);
  expect(moveIn("End", [1, 0], 2, 3)).toEqual([1, 2]);
  expect(moveIn("x", [0, 0], 2, 3)).toBeNull();
});

test("rejected rows are put together by code, with every host once and the most frequent reason first", () => {
  const row = (code: string, reason: string, host: string) =>
    ({ code, reason, host: { id: host, label: host } }) as RejectedRow;
  const found = byCode([
    row("failed", "x", "a"),
    row("bad_row", "y", "a"),
    row("bad_row", "z", "b"),
    row("bad_row", "z", "b"),
  ]);
  expect(found.map(({ code, rows, reasons, hosts }) => [code, rows, reasons, hosts.map(({ id }) => id)])).toEqual([
    [
      "bad_row",
      3,
      [
        ["z", 2],
        ["y", 1],
      ],
      ["a", "b"],
    ],
    ["failed", 1, [["x", 1]], ["a"]],
  ]);
});

test("flags are put together with the hosts that have them", () => {
  const host = (label: string, ...flags: string[]) =>
    ({ label, flags: flags.map((flag) => ({ flag, reason: "", action: "" })) }) as unknown as HostTrust;
  const found = byFlag([host("a", "old_data", "rejected"), host("b", "rejected")]);
  expect(found.map(({ flag, hosts }) => [flag, hosts.map(({ host: { label } }) => label)])).toEqual([
    ["rejected", ["a", "b"]],
    ["old_data", ["a"]],
  ]);
});

test("hosts whose rows another parser read, or not all anew, are named; the retired and replaced are not", () => {
  const host = (label: string, version: number, floor: number, more: object = {}) =>
    ({
      label,
      state: "converged",
      ledgers: [{ live: true, parsers: { codex: { version, floor } } }],
      ...more,
    }) as unknown as HostReport;
  const [parser] = parsersOf(
    [host("new", 2, 2), host("old", 1, 1), host("halfway", 2, 1), host("gone", 1, 1, { state: "retired" })],
    { codex: 2 },
  );
  expect(parser?.current.map(({ label }) => label)).toEqual(["new"]);
  expect(parser?.others.map(({ host: { label }, version, floor }) => [label, version, floor])).toEqual([
    ["old", 1, 1],
    ["halfway", 2, 1],
  ]);
});

test("logs add up by host and harness, and those that lost something come first", () => {
  const log = (label: string, harness: string, state: string, skipped_lines = 0) =>
    ({ host: { id: label, label }, harness, state, lines: 10, skipped_lines, unknown_records: 0 }) as Source;
  const found = logsOf([
    log("a", "codex", "present"),
    log("b", "codex", "source_gone"),
    log("b", "codex", "rewritten", 3),
  ]);
  expect(
    found.map(({ host, logs, gone, changed, lines, skipped }) => [host.id, logs, gone, changed, lines, skipped]),
  ).toEqual([
    ["b", 2, 1, 1, 20, 3],
    ["a", 1, 0, 0, 10, 0],
  ]);
});
