import { expect, test } from "vitest";
import { reader } from "../src/lib/keys";

const pressed = (key: string, more = {}) => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  isComposing: false,
  ...more,
});

test("two keys in a row mean a page, soon after each other and with nothing between", () => {
  const read = reader();
  expect([read(pressed("g"), 0), read(pressed("s"), 500)]).toEqual([null, "sessions"]);
  expect([read(pressed("g"), 1000), read(pressed("s"), 3000)]).toEqual([null, null]);
  expect([read(pressed("g"), 4000), read(pressed("x"), 4100), read(pressed("s"), 4200)]).toEqual([null, null, null]);
});

test("with a modifier a key is the browser's", () => {
  const read = reader();
  expect(
    ["ctrlKey", "metaKey", "altKey", "isComposing"].map((held) => read(pressed("[", { [held]: true }), 0)),
  ).toEqual([null, null, null, null]);
  expect(read(pressed("["), 0)).toBe("back");
});
