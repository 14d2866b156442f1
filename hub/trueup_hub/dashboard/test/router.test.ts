import { expect, test } from "vitest";
import { pathOf, placeOf } from "../src/lib/router";

test("a path below the root leads to its page and back", () => {
  for (const path of [""]) expect(pathOf(placeOf(path) ?? { page: "overview", id: "lost" })).toBe(path);
});

test("a slash at the end changes nothing, and what is no page is none", () => {
  expect(placeOf("/")).toEqual({ page: "overview", id: null });
  expect(placeOf("nowhere/at/all")).toBeNull();
});
