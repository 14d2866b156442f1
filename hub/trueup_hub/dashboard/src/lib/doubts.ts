/** What stands beside the numbers: lists of the hub, put together for people. */

import { sum } from "./series";
import type { HostReport, HostTrust, RejectedRow, Source } from "./types";
import type { Flag, HostName } from "./types";

/** What a code of rejections means, and what to do. One of a later hub is shown by its name. */
export const CODE_WORDS: Record<string, { words: string; action: string }> = {
  bad_value: {
    words: "A field has a value that cannot be stored",
    action: "Update trueup on the host: its agent then reads and sends the row again by itself.",
  },
  bad_row: {
    words: "It is no row, or none of the batch that it came in",
    action: "Update trueup on the host, and the hub where the agent is newer: the row then comes again by itself.",
  },
  not_faithful: {
    words: "The hub reads something else than what was sent",
    action: "Update the hub: the row then comes again by itself.",
  },
  failed: {
    words: "The database refuses it",
    action: "See the hub's log of that time; after an update of the hub the row comes again by itself.",
  },
};

export interface RejectedCode {
  code: string;
  rows: number;
  reasons: [string, number][]; // the most frequent first
  hosts: HostName[];
}

export function byCode(rows: RejectedRow[]): RejectedCode[] {
  const found = grouped(rows, ({ code }) => code);
  const codes = [...found].map(([code, of]) => ({
    code,
    rows: of.length,
    reasons: [...grouped(of, ({ reason }) => reason)]
      .map(([reason, same]): [string, number] => [reason, same.length])
      .toSorted((a, b) => b[1] - a[1]),
    hosts: distinct(of.map(({ host }) => host)),
  }));
  return codes.toSorted((a, b) => b.rows - a.rows);
}

/** In the order in which each group came first. */
function grouped<T>(items: T[], keyOf: (item: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = found.get(key);
    if (group) group.push(item);
    else found.set(key, [item]);
  }
  return found;
}

const distinct = (hosts: HostName[]): HostName[] => [...new Map(hosts.map((host) => [host.id, host])).values()];

export interface Noticed {
  flag: string;
  hosts: { host: HostTrust; said: Flag }[];
}

/** Flags with the hosts that have them, the most frequent first. */
export function byFlag(hosts: HostTrust[]): Noticed[] {
  const all = hosts.flatMap((host) => host.flags.map((said) => ({ host, said })));
  return [...grouped(all, ({ said }) => said.flag)]
    .map(([flag, of]) => ({ flag, hosts: of }))
    .toSorted((a, b) => b.hosts.length - a.hosts.length);
}

const live = (hosts: HostReport[]) => hosts.flatMap((host) => host.ledgers.filter((ledger) => ledger.live));

type Told = "skipped_lines" | "unknown_records" | "source_gone" | "old_data" | "rejected" | "corrected";

/** What the ledgers of these hosts have told; null where none has. */
export const toldBy = (hosts: HostReport[], what: Told): number | null =>
  sum(live(hosts).map((ledger) => ledger[what]));

export interface Parser {
  harness: string;
  known: number | null; // the newest data version that the hub knows
  current: HostReport[]; // read by it, every row
  others: { host: HostReport; version: number; floor: number }[]; // older, newer, or not all read again
}

/** Which data version reads each harness, host by host. */
export function parsersOf(hosts: HostReport[], known: Record<string, number>): Parser[] {
  const found = new Map<string, Parser>();
  for (const host of hosts.filter(({ state }) => state !== "retired"))
    for (const ledger of host.ledgers.filter((one) => one.live))
      for (const [harness, told] of Object.entries(ledger.parsers)) {
        const newest = Object.hasOwn(known, harness) ? (known[harness] ?? null) : null; // a machine's own word
        const parser = found.get(harness) ?? { harness, known: newest, current: [], others: [] };
        found.set(harness, parser);
        const { version = 0, floor = version } = told;
        if (version === newest && floor === newest) parser.current.push(host);
        else parser.others.push({ host, version, floor });
      }
  return [...found.values()].toSorted(
    (a, b) => b.others.length - a.others.length || a.harness.localeCompare(b.harness),
  );
}

export interface Logs {
  host: HostName;
  harness: string;
  logs: number;
  gone: number;
  changed: number; // truncated or rewritten by their harness
  lines: number;
  skipped: number;
  unknown: number;
}

/** Logs by host and harness, those that lost something first. */
export function logsOf(sources: Source[]): Logs[] {
  const groups = grouped(sources, ({ host, harness }) => `${host.id} ${harness}`);
  const rows = [...groups.values()].flatMap((of) => {
    const [first] = of;
    if (!first) return [];
    const total = (value: (source: Source) => number) => of.reduce((all, source) => all + value(source), 0);
    const inState = (...states: string[]) => total(({ state }) => Number(states.includes(state)));
    return {
      host: first.host,
      harness: first.harness,
      logs: of.length,
      gone: inState("source_gone"),
      changed: inState("truncated", "rewritten"),
      lines: total(({ lines }) => lines),
      skipped: total(({ skipped_lines }) => skipped_lines),
      unknown: total(({ unknown_records }) => unknown_records),
    };
  });
  return rows.toSorted((a, b) => lost(b) - lost(a));
}

const lost = ({ skipped, unknown, gone }: Logs): number => skipped + unknown + gone;

export const lostSomething = (source: Source): boolean =>
  source.state !== "present" || source.skipped_lines > 0 || source.unknown_records > 0;
