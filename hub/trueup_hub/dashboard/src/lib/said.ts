/** A selection in words, for where its controls are not seen: pictures, print, titles. */

import { longDay } from "./dates";
import { FILTERS, type Filter, type Selection } from "./selection";

interface Days {
  from: string | undefined;
  to: string | undefined;
}

/** "Nov 2, 2026 – Nov 8, 2026, days in Europe/Berlin · only model: gpt-5" */
export function selectionWords(
  selection: Selection,
  { from, to }: Days,
  timezone: string,
  nameOf: (filter: Filter, value: string) => string,
  locale?: string,
): string {
  const days = from && to ? rangeWords(from, to, locale) : "";
  const only = FILTERS.flatMap((filter) => {
    const names = (selection.filters[filter] ?? []).map((value) => nameOf(filter, value));
    return names.length ? [`only ${filter}: ${names.join(", ")}`] : [];
  });
  const copies = selection.counted === "all" ? ["every copy counted"] : [];
  return [[days, `days in ${timezone}`].filter(Boolean).join(", "), ...copies, ...only].join(" · ");
}

export const rangeWords = (from: string, to: string, locale?: string): string =>
  from === to ? longDay(from, locale) : `${longDay(from, locale)} – ${longDay(to, locale)}`;
