/** What is to be said first about all numbers: facts, no score. */

import { exact, percent, plural } from "./format";
import type { Summary, Trust } from "./types";
import type { Tone } from "./words";

/** Of the page: where there is more of it. */
export type Section = "coverage" | "hosts" | "prices" | "rejected" | "notices" | "logs" | "doubts";

export interface Clause {
  words: string;
  about: Section;
  tone: Tone;
}

/** One sentence, clause by clause. */
export function verdict(summary: Summary, locale?: string): Clause[] {
  return [
    ...ofRequests(summary, locale),
    ...ofHosts(summary.trust, locale),
    ...ofPrices(summary, locale),
    ...ofRows(summary.trust, locale),
  ];
}

const clause = (about: Section, tone: Tone, words: string): Clause => ({ about, tone, words });
const are = (count: number): string => (count === 1 ? "is" : "are");
const were = (count: number): string => (count === 1 ? "was" : "were");

function ofRequests({ coverage }: Summary, locale?: string): Clause[] {
  const { events, reported, lower_bound } = coverage["total_tokens"] ?? { events: 0, reported: 0, lower_bound: 0 };
  const say = (tone: Tone, words: string) => clause("coverage", tone, words);
  const bounds =
    lower_bound > 0
      ? [
          say(
            "warn",
            `${exact(lower_bound, locale)} of these ${are(lower_bound)} ${lower_bound === 1 ? "a lower bound" : "lower bounds"}`,
          ),
        ]
      : [];
  if (events === 0) return [say("quiet", "there was no request in this range")];
  const complete = "reported a complete total";
  if (reported === events)
    return [
      say("good", events === 1 ? `the only request ${complete}` : `all ${exact(events, locale)} requests ${complete}`),
      ...bounds,
    ];
  const share = percent(reported, events, locale);
  const some = `${exact(reported, locale)} of ${exact(events, locale)} ${plural(events, "request")} (${share}) ${complete}`;
  return [say("warn", some), ...bounds];
}

/** A host is complete while it is converged. The retired do not count: nothing more is expected of them. */
function ofHosts({ hosts, needs_resync }: Trust, locale?: string): Clause[] {
  const say = (tone: Tone, words: string) => [clause("hosts", tone, words)];
  const open = hosts.total - hosts.converged;
  if (hosts.total === 0) return say("quiet", "no host is enrolled");
  // Of diverged and forked hosts that goes without saying
  const again = needs_resync - hosts.diverged - hosts.forked;
  const also =
    again > 0
      ? [clause("notices", "warn", `rows of ${exact(again, locale)} ${plural(again, "host")} must come again`)]
      : [];
  if (open > 0) {
    const some = `${exact(open, locale)} of ${exact(hosts.total, locale)} ${plural(hosts.total, "host")}`;
    return [...say("warn", `${some} ${are(open)} not complete`), ...also];
  }
  const all = hosts.total === 1 ? "the only host is complete" : `all ${exact(hosts.total, locale)} hosts are complete`;
  return [...say("good", all), ...also];
}

function ofPrices({ coverage, totals, unpriced_tokens: unpriced }: Summary, locale?: string): Clause[] {
  if (unpriced > 0) {
    const share = totals.total_tokens ? ` (${percent(unpriced, totals.total_tokens, locale)})` : "";
    const some = `${exact(unpriced, locale)} ${plural(unpriced, "token")}${share}`;
    return [clause("prices", "warn", `${some} ${unpriced === 1 ? "has" : "have"} no list price`)];
  }
  const priced = coverage["cost_microusd"]?.reported ?? 0;
  return priced > 0 ? [clause("prices", "good", "every reported token has a list price")] : [];
}

function ofRows({ rejected, conflicting_copies, drift_suspected }: Trust, locale?: string): Clause[] {
  const some = (count: number, noun: string) => `${exact(count, locale)} ${plural(count, noun)}`;
  const clauses = [
    rejected > 0
      ? clause(
          "rejected",
          "bad",
          `${some(rejected, "row")} ${were(rejected)} rejected and ${rejected === 1 ? "counts" : "count"} nowhere`,
        )
      : clause("rejected", "good", "nothing was rejected"),
  ];
  if (conflicting_copies > 0) {
    const told = `${some(conflicting_copies, "request")} ${were(conflicting_copies)}`;
    clauses.push(clause("doubts", "bad", `${told} told with other numbers by a second host`));
  }
  if (drift_suspected > 0)
    clauses.push(clause("notices", "warn", `usage of ${some(drift_suspected, "host")} may go unread`));
  return clauses;
}
