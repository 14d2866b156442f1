import { describe, expect, test } from "vitest";
import { address, listed } from "../src/lib/api";
import golden from "../../../../tests/golden/selection.json";
import {
  DEFAULTS,
  obeyCapabilities,
  readSelection,
  usualOf,
  writeSelection,
  type Selection,
} from "../src/lib/selection";
import type { Capabilities } from "../src/lib/types";

describe("the address", () => {
  test("says nothing where everything is as by default", () => {
    expect(writeSelection(DEFAULTS, "overview")).toBe("");
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
      group_by: "project",
      granularity: "week",
      heatmap: "cost",
      filters: { model: ["a,b", ""] },
    });
    expect(readSelection(writeSelection(selection, "overview")).selection).toEqual(selection);
  });

  test("what it cannot mean goes back to the default, and is told", () => {
    const { selection, notices } = readSelection("?range=century&counted=twice&timezone=Moon%2FTycho&from=yesterday");
    expect(selection).toEqual(DEFAULTS);
    expect(notices).toHaveLength(4);
    expect(notices.join()).toContain("Moon/Tycho");
  });

  test("dates in the wrong order are put right", () => {
    expect(readSelection("?from=2026-11-22&to=2026-11-01").selection).toMatchObject({
      from: "2026-11-01",
      to: "2026-11-22",
    });
  });
});

test("what is usual for a reader is how things are shown, not what of them", () => {
  const asked: Selection = {
    ...DEFAULTS,
    ...{ range: "7d", timezone: "Europe/Berlin", heatmap: "cost", granularity: "week", compare: true },
    filters: { model: ["gpt-5"] },
  };
  expect(usualOf(asked)).toBe("timezone=Europe%2FBerlin&heatmap=cost");
  expect(usualOf(DEFAULTS)).toBe("");
});

describe("capabilities", () => {
  const hub = golden.hubs["0.2.0"] as unknown as Capabilities;

  test("what the hub does not have goes back to the default, and is told once", () => {
    const asked: Selection = {
      ...DEFAULTS,
      ...{ chart: "happiness", heatmap: "output_tokens", group_by: "mood" },
      filters: { host: ["bob", "ana"], harness: ["cursor"] },
    };
    const { selection, notices } = obeyCapabilities(asked, hub, "overview");
    expect(selection).toEqual({ ...DEFAULTS, hours: "messages", filters: { host: ["ana"] } });
    expect(notices).toEqual([
      "This hub knows no host “bob”; left out.",
      "This hub knows no harness “cursor”; left out.",
      "This hub has no “happiness” for tokens over time; showing total tokens.",
      "This hub does not have group_by=mood for analytics/activity; using model.",
      "This hub has no “output_tokens” for the calendar; showing total tokens.",
      "This hub has no “total_tokens” for the hours of the week; showing messages.",
    ]);
    expect(obeyCapabilities(selection, hub, "overview")).toEqual({ selection, notices: [] });
  });

  test("what it has stays", () => {
    const asked: Selection = {
      ...DEFAULTS,
      ...{ range: "custom", from: "2026-11-01", to: "2026-11-22", timezone: "Europe/Berlin" },
      ...{ heatmap: "cost", hours: "cost", granularity: "week" },
      filters: { label: ["team:web"], model: ["a,b", ""] },
    };
    expect(obeyCapabilities(asked, hub, "overview")).toEqual({ selection: asked, notices: [] });
  });

  test("a panel that an earlier hub does not have is told, and the others go on", () => {
    const earlier = { ...golden.hubs["0.1.0"], features: ["analytics.activity", "analytics.breakdown"] };
    const { selection, notices } = obeyCapabilities(
      { ...DEFAULTS, by: "model" },
      earlier as unknown as Capabilities,
      "overview",
    );
    expect(selection).toEqual({ ...DEFAULTS, by: "model" });
    expect(notices).toEqual([
      "This hub does not have the calendar.",
      "This hub does not have the hours of the week.",
      "This hub does not have top sessions.",
    ]);
  });
});

test("a question to the hub has what was given, empty values too, and quotes what has a comma", () => {
  expect(address("api/v1/x", { from: null, model: ["", "gpt"].map(listed), metric: "cost" })).toBe(
    "api/v1/x?model=&model=gpt&metric=cost",
  );
  expect(listed('a,"b"')).toBe('"a,""b"""');
});
