import { describe, expect, test } from "vitest";
import golden from "../../../../tests/golden/selection.json";
import { coerce, isTimezone, whyUnknown, type Values } from "../src/lib/coerce";

const hubs: Record<string, object> = golden.hubs;

describe("what the page wants is put back as the other clients put it back", () => {
  for (const { says, hub, endpoint, wanted, usual, coerced } of golden.cases) {
    test(says, () => {
      const found = coerce(hubs[hub] as object, endpoint, wanted as unknown as Values, usual as Record<string, string>);
      expect(found).toEqual(coerced);
      if (found.endpoint === null) return;
      const again = coerce(hubs[hub] as object, found.endpoint, found.values, usual as Record<string, string>);
      expect(again).toEqual({ ...found, changes: [] });
    });
  }
});

test("a metric that no harness reports has its reason", () => {
  for (const { hub, metric, harnesses, why } of golden.unknown)
    expect(whyUnknown(hubs[hub] as object, metric, harnesses)).toBe(why);
});

test("time zones are those of the list, not all that a browser understands", () => {
  expect(["Europe/Berlin", "UTC", "Etc/GMT+5", "America/Argentina/Ushuaia"].filter(isTimezone)).toHaveLength(4);
  expect(["europe/berlin", "+01:00", "", "Moon/Tycho", "localtime"].filter(isTimezone)).toEqual([]);
});
