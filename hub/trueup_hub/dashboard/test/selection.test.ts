import { describe, expect, test } from "vitest";
import { address, listed } from "../src/lib/api";
import { DEFAULTS, obeyCapabilities, readSelection, writeSelection } from "../src/lib/selection";

describe("the address", () => {
  test("says nothing where everything is as by default", () => {
    expect(writeSelection(DEFAULTS)).toBe("");
    expect(readSelection("")).toEqual({ selection: DEFAULTS, notices: [] });
  });

  test("reads back as what was selected", () => {
    const query =
      "?from=2026-11-01&to=2026-11-22&timezone=Europe%2FBerlin&group_by=project&granularity=week&heatmap=cost&model=a%2Cb&model=";
    const { selection, notices } = readSelection(query);
    expect(notices).toEqual([]);
    expect(selection).toMatchObject({
      range: "custom",
      from: "2026-11-01",
      to: "2026-11-22",
      timezone: "Europe/Berlin",
      groupBy: "project",
      granularity: "week",
      heatmap: "cost",
      filters: { model: ["a,b", ""] },
    });
    expect(readSelection(writeSelection(selection)).selection).toEqual(selection);
  });

  test("what it cannot mean goes back to the default, and is told", () => {
    const { selection, notices } = readSelection(
      "?range=century&group_by=mood&timezone=Moon%2FTycho&from=yesterday&granularity=blink",
    );
    expect(selection).toEqual(DEFAULTS);
    expect(notices).toHaveLength(5);
    expect(notices.join()).toContain("Moon/Tycho");
  });

  test("dates in the wrong order are put right", () => {
    expect(readSelection("?from=2026-11-22&to=2026-11-01").selection).toMatchObject({
      from: "2026-11-01",
      to: "2026-11-22",
    });
  });
});

describe("capabilities", () => {
  const offered = { chart: ["total_tokens", "cost"], heatmap: ["messages", "cost"], top: ["total_tokens"] };

  test("a metric that the hub does not have goes back to the default, and is told", () => {
    const asked = { ...DEFAULTS, chart: "happiness", heatmap: "output_tokens" };
    const { selection, notices } = obeyCapabilities(asked, offered);
    expect([selection.chart, selection.heatmap, selection.top]).toEqual(["total_tokens", "messages", "total_tokens"]);
    expect(notices).toHaveLength(2);
    expect(notices[0]).toContain("happiness");
  });

  test("one that it has stays", () => {
    expect(obeyCapabilities({ ...DEFAULTS, heatmap: "cost" }, offered)).toEqual({
      selection: { ...DEFAULTS, heatmap: "cost" },
      notices: [],
    });
  });
});

test("a question to the hub has what was given, empty values too, and quotes what has a comma", () => {
  expect(address("api/v1/x", { from: null, model: ["", "gpt"].map(listed), metric: "cost" })).toBe(
    "api/v1/x?model=&model=gpt&metric=cost",
  );
  expect(listed('a,"b"')).toBe('"a,""b"""');
});
