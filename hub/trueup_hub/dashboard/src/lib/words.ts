/** The state of hosts and of trust in words. */

import type { HubError } from "./api";
import { exact, plural } from "./format";
import type { HostReport, Trust } from "./types";

export type HostState = HostReport["state"];

export type Tone = "good" | "warn" | "bad" | "quiet";

export interface Said {
  tone: Tone;
  words: string;
}

export const STATE_WORDS: Record<HostState, Said> = {
  converged: { tone: "good", words: "converged" },
  behind: { tone: "warn", words: "behind" },
  silent: { tone: "warn", words: "silent" },
  never: { tone: "quiet", words: "nothing yet" },
  diverged: { tone: "bad", words: "diverged" },
  forked: { tone: "bad", words: "forked" },
  retired: { tone: "quiet", words: "retired" },
};

const WORST_FIRST = ["forked", "diverged", "silent", "behind", "never"] as const;

/** What needs somebody comes first. */
export const STATE_ORDER: HostState[] = [...WORST_FIRST, "converged", "retired"];

/** Within a state the order stays. */
export function byUrgency<T extends { state: HostState }>(hosts: T[]): T[] {
  return hosts.toSorted((a, b) => STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state));
}

/** What stands beside a state. A flag of a later hub is shown by its name. */
export const FLAG_WORDS: Record<string, string> = {
  forgotten: "being forgotten",
  needs_resync: "resync needed",
  shared_credential: "shared credential",
  drift_suspected: "drift suspected",
  rejected: "rejected rows",
  corrected: "corrected rows",
  old_data: "old data",
  withheld: "withheld fields",
  older_agent: "older agent",
  newer_agent: "newer agent",
  unknown_versions: "unknown versions",
  clock_skew: "clock is off",
  agent_error: "agent error",
  readmitted: "readmitted",
};

/** What an agent says of a log that it reads. One of a later agent is shown by its name. */
export const LOG_STATES: Record<string, string> = {
  present: "there",
  source_gone: "gone",
  truncated: "truncated",
  rewritten: "rewritten",
};

/** One line: how many hosts are proven equal to what is shown, and what is with the others. */
export function trustLine({ hosts, needs_resync }: Trust, locale?: string): Said {
  const count = (number: number, what: string) => `${exact(number, locale)} ${what}`;
  if (hosts.total === 0) return { tone: "quiet", words: "No host yet" };
  const others = WORST_FIRST.filter((state) => hosts[state] > 0);
  // Of diverged and forked hosts that goes without saying.
  const resync = needs_resync - hosts.diverged - hosts.forked;
  const said = others.map((state) => count(hosts[state], STATE_WORDS[state].words));
  if (resync > 0) said.push(count(resync, resync === 1 ? "needs a resync" : "need a resync"));
  const rest = said.length > 0 ? ` · ${said.join(", ")}` : "";
  const least: Tone = resync > 0 ? "warn" : "good";
  if (others.length === 0) {
    const all = hosts.total === 1 ? "1 host, converged" : `All ${count(hosts.total, "hosts converged")}`;
    return { tone: least, words: all + rest };
  }
  const tone = others.reduce<Tone>((worst, state) => worse(worst, STATE_WORDS[state].tone), least);
  const converged = `${exact(hosts.converged, locale)} of ${count(hosts.total, `${plural(hosts.total, "host")} converged`)}`;
  return { tone, words: converged + rest };
}

function worse(a: Tone, b: Tone): Tone {
  const order: Tone[] = ["good", "quiet", "warn", "bad"];
  return order.indexOf(a) > order.indexOf(b) ? a : b;
}

export interface Fact {
  name: string;
  value: number;
  meaning: string;
  tone: Tone;
}

/** The numbers beside the numbers: what is still to come, what was set aside, what could not be proven. */
export function trustFacts(trust: Trust): Fact[] {
  const fact = (name: string, value: number, meaning: string, tone: Tone): Fact => ({
    name,
    value,
    meaning,
    tone: value > 0 ? tone : "quiet",
  });
  return [
    fact("Pending changes", trust.pending_changes, "recorded on the machines, not here yet", "warn"),
    fact("Need a resync", trust.needs_resync, "hosts whose rows must come again, each says why", "warn"),
    fact("Drift suspected", trust.drift_suspected, "hosts whose logs grow while their usage stays empty", "warn"),
    fact("Rejected rows", trust.rejected, "rows that the hub could not accept", "bad"),
    fact(
      "Conflicting copies",
      trust.conflicting_copies,
      "requests that two hosts report with different numbers",
      "bad",
    ),
    fact("Unpriced tokens", trust.unpriced_tokens, "tokens of models without a list price", "warn"),
    fact("Duplicates set aside", trust.set_aside_duplicates, "copies of requests that count once", "quiet"),
    fact("Rows of old data", trust.old_data, "read by an older parser, and its log is gone", "warn"),
    fact("Logs gone", trust.source_gone, "rows whose log file no longer exists; the ledger kept them", "quiet"),
  ];
}

/** Why the hub did not do what it was asked for, in one line. */
export function problemWords({ status, code, message }: HubError): string {
  if (status === 0) return "The hub does not answer: nothing was changed, as far as is known. Try again.";
  if (status === 401) return "You are signed out: sign in again.";
  if (code === "forbidden") return "Only an administrator may do this: sign in with an administrator's token.";
  return message;
}

const FEATURES: Record<string, string> = {
  "hosts.enroll": "make codes for new machines",
  "hosts.resync": "ask agents for anything",
  "hosts.retire": "retire hosts",
  "hosts.forget": "forget hosts",
};

/** Why a reader cannot do what an administrator can, or what only later hubs can; null where it can be asked for. */
export function whyNot(admin: boolean, has: readonly string[], ...features: string[]): string | null {
  if (!admin) return "Only an administrator can do this: sign in with an administrator's token.";
  const lacks = features.filter((feature) => !has.includes(feature)).map((feature) => FEATURES[feature] ?? feature);
  return lacks.length ? `This hub cannot ${lacks.join(" or ")} from a page.` : null;
}
