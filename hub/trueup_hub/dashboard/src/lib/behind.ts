/** Addresses of what stands behind a number of data quality; null where this hub cannot show it. */

import type { Hub } from "./hub.svelte";
import type { Filter, Selection } from "./selection";

export type Doubt = "unreported" | "lower_bound" | "derived" | "unpriced" | "old_data" | "set_aside" | "conflicting";

interface Narrower {
  counter?: string; // that was not reported, only bounded or derived
  only?: Partial<Record<Filter, string>>; // "" is what has none
}

/** Sessions of the selection that have such requests. */
export function sessionsBehind(hub: Hub, doubt: Doubt, { counter, only = {} }: Narrower = {}): string | null {
  const takes = hub.capabilities.data?.routes?.["sessions"]; // hubs before 0.2 tell of no routes
  if (!takes?.["quality"]?.choices?.includes(doubt)) return null;
  if (counter !== undefined && !takes["counter"]?.choices?.includes(counter)) return null;
  const narrowed = Object.entries(only).map(([filter, value]) => [filter, [value]]);
  const change: Partial<Selection> = {
    quality: doubt,
    counter: counter ?? null,
    filters: { ...hub.selection.filters, ...Object.fromEntries(narrowed) },
  };
  return hub.link({ page: "sessions", id: null }, change);
}
