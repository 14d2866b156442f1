/** How much of a division over time is asked for: what a chart can show, and what one answer of the hub can hold. */

import { daysBetween } from "./dates";

const ENOUGH = 24; // series: of what a chart draws together the greatest are known, whatever its metric
const LIGHT = 9_000; // points, of 1.4 kB each

/** How many series may be asked for; "2" is the least that the hub takes. */
export function mostSeries(limits: Record<string, number>, range: { from: string; to: string } | null, step: string) {
  const limit = Math.min(limits["activity_points"] ?? LIGHT, LIGHT);
  if (!range) return String(ENOUGH);
  const days = daysBetween(range.from, range.to) + 1;
  const lengths: Record<string, number> = { hour: 1 / 24, day: 1, week: 7, month: 28 };
  const buckets = Math.ceil(days / (lengths[step] ?? 1)) + 2; // parts at both ends, an hour that comes twice
  return String(Math.max(2, Math.min(ENOUGH, Math.floor(limit / buckets))));
}
