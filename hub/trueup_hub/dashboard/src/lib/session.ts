/** One session: what its page says of it, from what the hub answers. */

import { compact, UNKNOWN } from "./format";

/** In two pieces, for narrow columns: day and time of day. */
export function dayAndTime(iso: string, timezone: string, locale?: string): [string, string] {
  const at = new Date(iso);
  const day = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: timezone });
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: "short", timeZone: timezone });
  return [day.format(at), clock.format(at)];
}

/** As agentsview has it: one badge, what is not reported is a dash. */
export function badge(context: number | null, output: number | null, locale?: string): string | null {
  if (context === null && output === null) return null;
  const side = (value: number | null) => (value === null ? UNKNOWN : compact(value, locale));
  return `${side(context)} ctx / ${side(output)} out`;
}
