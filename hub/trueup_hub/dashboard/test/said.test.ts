import { expect, test } from "vitest";
import { fileName } from "../src/lib/png";
import { selectionWords } from "../src/lib/said";
import { DEFAULTS } from "../src/lib/selection";

const nameOf = (filter: string, value: string) => value || `unknown ${filter}`;
const spaced = (text: string) => text.replaceAll("\u2009", " "); // thin ones, around the dash
const days = { from: "2026-11-02", to: "2026-11-08" };

test("a selection is told in words: days, zone, what is counted, what else is chosen", () => {
  expect(spaced(selectionWords(DEFAULTS, days, "UTC", nameOf, "en-US"))).toBe("Nov 2 – 8, 2026, days in UTC");
  const narrowed = { ...DEFAULTS, counted: "all" as const, filters: { model: ["gpt-5", ""], host: ["desk"] } };
  expect(spaced(selectionWords(narrowed, days, "Asia/Kathmandu", nameOf, "de"))).toBe(
    "02.–08.11.2026, days in Asia/Kathmandu · every copy counted · only host: desk · only model: gpt-5, unknown model",
  );
  expect(selectionWords(DEFAULTS, { from: undefined, to: undefined }, "UTC", nameOf)).toBe("days in UTC");
});

test("the name of a file says what is in it and of which days", () => {
  expect(fileName("Total tokens by model", "2026-11-02", "2026-11-08", "png")).toBe(
    "trueup-total-tokens-by-model_2026-11-02_2026-11-08.png",
  );
  expect(fileName("Kosten (Größe)", undefined, undefined, "csv")).toBe("trueup-kosten-größe.csv");
});
