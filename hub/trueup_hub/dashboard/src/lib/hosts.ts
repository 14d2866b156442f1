/** The list of hosts: what stands in a row, in which order, and which rows a reader looks for. */

import { ago } from "./format";
import { sum } from "./series";
import type { Capabilities, Flag, HostReport, HostTrust, LedgerReport } from "./types";
import { FLAG_WORDS, STATE_ORDER, STATE_WORDS, type HostState } from "./words";

/** A host with what is reckoned from its ledgers; null = its machine has not told. */
export interface HostRow {
  host: HostReport;
  completeUpTo: string | null;
  pending: number | null;
  atLeast: boolean; // of one ledger it is not known
  versions: string[]; // of its agents
  harnesses: string[];
  notices: Notice[];
  text: string; // where a search looks
}

/** A flag without what the state says already. `toDo`: there is something to do about it. */
export type Notice = Flag & { toDo: boolean };

export const liveLedgers = (host: { ledgers: LedgerReport[] }): LedgerReport[] =>
  host.ledgers.filter((ledger) => ledger.live);

export function rowOf(host: HostReport, trust: HostTrust | undefined, found: string[]): HostRow {
  const live = liveLedgers(host);
  const versions = [...new Set(live.flatMap(({ agent_version }) => agent_version ?? []))];
  const harnesses = [...new Set([...found, ...live.flatMap(({ parsers }) => Object.keys(parsers))])].sort();
  const words = [
    ...[host.label, host.host_id, host.kind, host.platform, STATE_WORDS[host.state].words, host.state],
    ...Object.entries(host.labels).flatMap(([name, value]) => [`${name}:${value}`, `${name}=${value}`]),
    ...[...versions, ...harnesses],
    ...host.flags.flatMap(({ flag }) => [flag, flagWords(flag)]),
  ];
  return {
    host,
    completeUpTo: trust?.complete_up_to ?? null,
    pending: sum(live.map(({ pending }) => pending)),
    atLeast: live.some(({ pending }) => pending === null),
    versions,
    harnesses,
    notices: toldOnce(host),
    text: words.join("\n").toLowerCase(),
  };
}

/** Harnesses of which each host has usage, by its id, as far as the hub lists them. */
export const harnessesFound = (capabilities: Capabilities | null): Map<string, string[]> =>
  new Map((capabilities?.hosts ?? []).map((host) => [host.host_id, Object.keys(host.harnesses).filter(Boolean)]));

export const flagWords = (flag: string): string => FLAG_WORDS[flag] ?? flag.replaceAll("_", " ");

/** Flags of a host without sentences that its state, or a flag before, says already. */
export function toldOnce(host: Pick<HostReport, "reason" | "action" | "flags">): Notice[] {
  const told = new Set([...sentences(host.reason), ...sentences(host.action)]);
  const news = (text: string) => {
    const left = sentences(text).filter((sentence) => !told.has(sentence));
    for (const sentence of left) told.add(sentence);
    return left.join(" ");
  };
  return host.flags
    .map(({ flag, reason, action }) => ({ flag, reason: news(reason), action: news(action), toDo: action !== "" }))
    .filter(({ flag, reason, action }) => reason || action || flag !== "needs_resync");
}

const sentences = (text: string): string[] => text.split(/(?<=[.!?])\s+/).filter(Boolean);

export const COLUMNS = ["urgency", "name", "seen", "complete", "pending", "version"] as const;
export type Column = (typeof COLUMNS)[number];
export const ORDERS: readonly string[] = COLUMNS.flatMap((column) => [column, `-${column}`]);

/** Rows by a column, `-` before its name for the other way round. What is unknown comes last in either order. */
export function ordered(rows: HostRow[], order: string, locale?: string): HostRow[] {
  const column = order.replace(/^-/, "") as Column;
  const turn = order.startsWith("-") ? -1 : 1;
  const names = new Intl.Collator(locale, { numeric: true, sensitivity: "base" });
  const byName = (a: HostRow, b: HostRow) => names.compare(a.host.label, b.host.label);
  const compare = (a: HostRow, b: HostRow): number => {
    const [x, y] = [VALUES[column](a), VALUES[column](b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    if (typeof x === "string" || typeof y === "string") return turn * names.compare(String(x), String(y));
    return turn * (x - y);
  };
  return rows.toSorted((a, b) => compare(a, b) || byName(a, b));
}

const time = (iso: string | null) => (iso === null ? null : Date.parse(iso));
const VALUES: Record<Column, (row: HostRow) => number | string | null> = {
  urgency: ({ host, notices }) => 2 * STATE_ORDER.indexOf(host.state) - Number(notices.some(({ toDo }) => toDo)),
  name: ({ host }) => host.label,
  seen: ({ host }) => time(host.last_seen_at),
  complete: ({ completeUpTo }) => time(completeUpTo),
  pending: ({ pending }) => pending,
  version: ({ versions }) => versions[0] ?? null,
};

/** Rows in which every word of a search occurs, in one state or with one flag. */
export function chosen(rows: HostRow[], search: string, state: string | null): HostRow[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => words.every((word) => row.text.includes(word)) && (!state || isIn(row, state)));
}

const isIn = ({ host }: HostRow, what: string) => host.state === what || host.flags.some(({ flag }) => flag === what);

export interface Count {
  what: string; // a state or a flag
  words: string;
  number: number;
}

/** How many are in each state that occurs, the worst first, and how many have each flag. */
export function counted(rows: HostRow[]): { states: (Count & { what: HostState })[]; flags: Count[] } {
  const count = (what: string) => rows.filter((row) => isIn(row, what)).length;
  const flags = [...new Set(rows.flatMap(({ host }) => host.flags.map(({ flag }) => flag)))];
  return {
    states: STATE_ORDER.map((what) => ({ what, words: STATE_WORDS[what].words, number: count(what) })).filter(
      ({ number }) => number > 0,
    ),
    flags: flags
      .map((what) => ({ what, words: flagWords(what), number: count(what) }))
      .sort((a, b) => b.number - a.number),
  };
}

/** How far the hub is behind a host, in words. */
export function lagWords({ host, completeUpTo }: HostRow, now: number, locale?: string): string {
  if (completeUpTo !== null) return ago(Date.parse(completeUpTo), now, locale);
  return host.state === "never" ? "nothing yet" : "unknown";
}
