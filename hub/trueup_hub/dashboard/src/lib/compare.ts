/** A number against that of the period before, said no more surely than both are known. */

import { addDays, daysBetween } from "./dates";
import { exact, full, percent, short, UNKNOWN, type Kind } from "./format";
import type { Coverage } from "./types";

export interface Period {
  from: string;
  to: string;
}

/** As many days, just before. */
export function periodBefore({ from, to }: Period): Period {
  return { from: addDays(from, -1 - daysBetween(from, to)), to: addDays(from, -1) };
}

/** A value and how well it is known. `coverage` null: a count, which is complete. */
export interface Known {
  kind: Kind;
  value: number | null;
  mayBeMore: boolean;
  coverage: Coverage | null;
}

export interface Comparison {
  words: string; // the change, or why there is none to tell
  from: string; // the value before, "" where there is nothing to compare with
  why: string; // how sure that is, "" where it is exact
}

/** Shares of requests that report may differ by so much before numbers of the two periods say nothing of each other. */
const ALIKE = 0.05;
export const NO_CHANGE = "not comparable";

/** `reported`: how requests are called that gave this number. */
export function compared(now: Known, before: Known, reported = "reported", locale?: string): Comparison {
  const without = (words: string): Comparison => ({ words, from: "", why: "" });
  if (before.value === null) return without(isMade(before) ? `not ${reported} before` : "none before");
  const from = short(before.kind, before.value, locale);
  if (now.value === null) return { words: isMade(now) ? `not ${reported} now` : "none now", from, why: "" };
  const why =
    now.mayBeMore || before.mayBeMore ? `${told(before, reported, locale)} then, ${told(now, "", locale)} now` : "";
  if (why && Math.abs(shareOf(now) - shareOf(before)) > ALIKE) return { words: NO_CHANGE, from, why };
  if (before.value <= 0) return { words: now.value === before.value && !why ? "unchanged" : "", from, why };
  return { words: sign(now, before) + change(now.value, before.value, locale), from, why };
}

/** All of it for who cannot see, or wants to know exactly. */
export function inFull(before: Known, period: Period, { why }: Comparison, locale?: string): string {
  const value = before.value === null ? UNKNOWN : full(before.kind, before.value, locale);
  return `${before.mayBeMore ? "≥ " : ""}${value} from ${period.from} to ${period.to}${why ? ` (${why})` : ""}`;
}

const isMade = ({ coverage }: Known): boolean => coverage !== null && coverage.events > 0;
const shareOf = ({ coverage }: Known): number =>
  coverage && coverage.events > 0 ? coverage.reported / coverage.events : 1;

function told({ coverage }: Known, reported: string, locale?: string): string {
  const share = coverage ? percent(coverage.reported, coverage.events, locale) : "all";
  return reported ? `${share} ${reported}` : share;
}

/** What more there may be on one side bounds the change on one; on both sides, it is about that. */
function sign(now: Known, before: Known): string {
  if (now.mayBeMore && before.mayBeMore) return "≈ ";
  if (now.mayBeMore) return "≥ ";
  return before.mayBeMore ? "≤ " : "";
}

function change(now: number, before: number, locale?: string): string {
  const by = (now / before - 1) * 100;
  if (now === before) return "±0 %";
  const digits = Math.abs(by) < 10 ? 1 : 0;
  const rounded = Number(Math.abs(by).toFixed(digits));
  const size = rounded === 0 ? "< 0.1" : exact(rounded, locale);
  return `${by < 0 ? "−" : "+"}${size} %`;
}
