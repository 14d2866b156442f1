/** A selection in words, for where its controls are not seen: pictures, print, titles. */

import { daysInWords } from "./dates";
import { FILTERS, type Filter, type Selection } from "./selection";

interface Range {
  from: string | undefined;
  to: string | undefined;
}

/** "Nov 2 – 8, 2026, days in Europe/Berlin · only model: gpt-5" */
export function selectionWords(
  selection: Selection,
  { from, to }: Range,
  timezone: string,
  nameOf: (filter: Filter, value: string) => string,
  locale?: string,
): string {
  const days = from && to ? daysInWords({ from, to }, locale) : "";
  const only = FILTERS.flatMap((filter) => {
    const names = (selection.filters[filter] ?? []).map((value) => nameOf(filter, value));
    return names.length ? [`only ${filter}: ${names.join(", ")}`] : [];
  });
  const copies = selection.counted === "all" ? ["every copy counted"] : [];
  return [[days, `days in ${timezone}`].filter(Boolean).join(", "), ...copies, ...only].join(" · ");
}
