import { expect, test } from "vitest";
import { matching, moved } from "../src/lib/options";

const options = ["website", "compiler", "web shop", ""].map((value) => ({ value, name: value || "unknown project" }));
const found = (search: string, ...first: string[]) =>
  matching(options, search, new Set(first)).map(({ value }) => value);

test("what is searched for has every word in its name", () => {
  expect(found("WEB")).toEqual(["website", "web shop"]);
  expect(found("shop we")).toEqual(["web shop"]);
  expect(found("unknown")).toEqual([""]);
  expect(found("nothing")).toEqual([]);
});

test("what is chosen comes first, until something is searched for", () => {
  expect(found("", "web shop", "")).toEqual(["web shop", "", "website", "compiler"]);
  expect(found("web", "web shop")).toEqual(["website", "web shop"]);
});

test("keys walk through a list, around its ends", () => {
  const from = (at: number) =>
    ["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End", "a"].map((key) => moved(key, at, 20, 8));
  expect(from(0)).toEqual([1, 19, 8, 0, 0, 19, null]);
  expect(from(19)).toEqual([0, 18, 19, 11, 0, 19, null]);
  expect(moved("ArrowDown", 0, 0, 8)).toBeNull();
});
