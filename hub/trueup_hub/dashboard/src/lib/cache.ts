/** What caching did: of what was reported, and no more. */

import { exact, percent } from "./format";
import type { Sums } from "./metrics";
import type { Coverage } from "./types";

const PROMPT = [
  ["cache_read_tokens", "cache reads"],
  ["cache_write_tokens", "cache writes"],
  ["input_tokens", "fresh input"],
] as const;

export interface Share {
  counter: string;
  name: string;
  value: number | null;
  of: number; // 0 … 1 of all prompt tokens
}

/** Prompt tokens by where they came from; null where input or cache reads are unknown, or there are none. */
export function promptOf({ totals }: Pick<Sums, "totals">): Share[] | null {
  if (totals.input_tokens === null || totals.cache_read_tokens === null) return null;
  const whole = PROMPT.reduce((sum, [counter]) => sum + (totals[counter] ?? 0), 0);
  if (whole <= 0) return null;
  return PROMPT.map(([counter, name]) => ({
    counter,
    name,
    value: totals[counter],
    of: (totals[counter] ?? 0) / whole,
  }));
}

/** The part of all prompt tokens that was read from a cache, 0 … 1. */
export const efficiencyOf = (sums: Pick<Sums, "totals">): number | null => promptOf(sums)?.[0]?.of ?? null;

/** Which requests the efficiency is of, in words. */
export function basisOf({ coverage }: Pick<Sums, "coverage">, locale?: string): string {
  const told = PROMPT.map(([counter, name]) => ({ name, of: coverage[counter] ?? NONE }));
  const bounds = told.reduce((sum, { of }) => sum + of.lower_bound, 0);
  const words = bounds > 0 ? [`${exact(bounds, locale)} lower bounds`] : [];
  if (told.every(({ of }) => of.reported === of.events)) return ["of every request", ...words].join(", ");
  const shares = told.map(({ name, of }) => `${name} ${percent(of.reported, of.events, locale)}`);
  return [`of what requests reported: ${shares.join(", ")}`, ...words].join(", ");
}

const NONE: Coverage = { events: 0, reported: 0, lower_bound: 0, derived: 0 };
