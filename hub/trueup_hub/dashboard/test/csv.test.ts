import { expect, test } from "vitest";
import { readPage, wholeCsv } from "../src/lib/csv";

const page = (rows: string[], cursor: string) =>
  ["id,note", ...rows, "# sort: cost", `# next_cursor:${cursor && ` ${cursor}`}`, ""].join("\r\n");

test("a page of a table is its head, its rows, and what is said beside them", () => {
  expect(readPage(page(["1,a"], "abc"))).toEqual({
    head: "id,note",
    rows: "1,a\r\n",
    about: "# sort: cost\r\n# next_cursor: abc\r\n",
    next: "abc",
  });
  expect(readPage(page([], ""))).toMatchObject({ rows: "", next: null });
});

test("all pages together have one head, every row in order, and one end", async () => {
  const pages: Record<string, string> = {
    first: page(["1,a", '2,"two\r\n# lines"'], "x"),
    x: page(["3,c"], "y"),
    y: page(["4,d"], ""),
  };
  const whole = await wholeCsv(async (cursor) => pages[cursor ?? "first"] ?? "");
  expect(whole.split("\r\n")).toEqual([
    "id,note",
    "1,a",
    '2,"two',
    '# lines"',
    "3,c",
    "4,d",
    "# sort: cost",
    "# next_cursor:",
    "",
  ]);
});
