/** A ledger as people read it. */

import { exact, span, UNKNOWN } from "./format";
import type { LedgerReport } from "./types";
import { STATE_WORDS, type Said } from "./words";

export const LEDGER_WORDS: Record<LedgerReport["state"], Said> = {
  never: STATE_WORDS.never,
  converged: STATE_WORDS.converged,
  behind: STATE_WORDS.behind,
  diverged: STATE_WORDS.diverged,
  forked: STATE_WORDS.forked,
  superseded: { tone: "quiet", words: "superseded" },
};

/** What the hub's digest proves. */
export function digestWords({ verdict, pending, acked_seq }: LedgerReport, locale?: string): string {
  if (verdict === "diverged") return "the machine's is another one";
  if (verdict === "converged")
    return pending ? `equal on both sides, as of change ${exact(acked_seq, locale)}` : "equal on both sides";
  return verdict === null ? "nothing to compare yet" : "not compared: there is more to come";
}

/** Which data version read what, against the newest that the hub knows. */
export function parserWords(parsers: LedgerReport["parsers"], known: Record<string, number>): string {
  const each = Object.entries(parsers).sort(([a], [b]) => (a < b ? -1 : 1));
  return (
    each
      .map(([harness, { version, floor }]) => `${harness} ${versionWords(version, floor, known[harness])}`)
      .join(", ") || UNKNOWN
  );
}

function versionWords(version: number | undefined, floor: number | undefined, ours: number | undefined): string {
  const rest = version !== undefined && floor !== undefined && floor < version ? ` (some rows still ${floor})` : "";
  const other = ours === undefined ? " (unknown here)" : version !== ours ? ` (this hub knows ${ours})` : "";
  return `${version ?? UNKNOWN}${rest}${other}`;
}

const POLICY_WORDS: Record<string, Record<string, string>> = {
  project: { name: "names of projects", path: "paths of projects", hash: "projects as hashes", none: "no projects" },
  os_user: { name: "names of users", hash: "users as hashes", none: "no users" },
  paths: { path: "paths of logs", none: "no paths of logs" },
};

/** What leaves the machine. */
export const policyWords = (policy: Record<string, string>): string =>
  Object.entries(policy)
    .map(([what, how]) => POLICY_WORDS[what]?.[how] ?? `${what}: ${how}`)
    .join(", ") || UNKNOWN;

/** How the machine's clock stands against the hub's; a second is the way of the message. */
export function skewWords(seconds: number | null, locale?: string): string {
  if (seconds === null) return UNKNOWN;
  if (Math.abs(seconds) < 2) return "as the hub's";
  return `${span(Math.abs(seconds), locale)} ${seconds > 0 ? "ahead" : "behind"}`;
}
