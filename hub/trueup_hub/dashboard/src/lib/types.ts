/** What the API answers, as far as the page reads it. `null` is "not reported", never zero. */

export interface Coverage {
  events: number;
  reported: number;
  lower_bound: number;
  derived: number;
}

export type Totals = Record<string, number | null>;
export type Coverages = Record<string, Coverage>;

export type HostState = "never" | "converged" | "behind" | "diverged" | "forked" | "silent" | "retired";

export interface Trust {
  as_of: string;
  complete_up_to: string | null;
  hosts: { total: number } & Record<Exclude<HostState, "retired">, number>;
  needs_resync: number;
  drift_suspected: number;
  pending_changes: number;
  old_data: number;
  source_gone: number;
  set_aside_duplicates: number;
  conflicting_copies: number;
  rejected: number;
  unpriced_tokens: number;
  scrubbed_at: string | null;
}

/** Common to every analytics reply: the range and zone that were really used. */
export interface Ranged {
  from: string;
  to: string;
  timezone: string;
  trust: Trust;
}

export interface Summary extends Ranged {
  totals: Totals;
  coverage: Coverages;
  unpriced_tokens: number;
  total_sessions: number;
  total_messages: number;
  active_sessions: number;
}

export interface Point {
  start: string;
  totals: Totals;
  coverage: Coverages;
}

export interface Activity extends Ranged {
  granularity: string;
  series: { key: string | null; label: string | null; points: Point[] }[]; // the greatest first
}

export interface HeatmapEntry {
  date: string;
  value: number | null;
  level: number;
  coverage: Coverage;
}

export interface Heatmap extends Ranged {
  metric: string;
  entries: HeatmapEntry[];
  levels: Record<"l1" | "l2" | "l3" | "l4", number | null>; // from which value on a day has at least this level
}

export interface Breakdown extends Ranged {
  by: string;
  rows: {
    key: string | null;
    label: string | null;
    events: number;
    totals: Totals;
    coverage: Coverages;
    share: number | null; // of all total_tokens
  }[];
}

export interface TopSession {
  id: string; // the hub's
  session_id: string | null; // the harness's own
  harness: string | null;
  project: string | null;
  models: string[];
  started_at: string | null;
  value: number | null;
  coverage: Coverage;
}

export interface TopSessions extends Ranged {
  metric: string;
  sessions: TopSession[];
  not_reported: number;
}

export interface HostFlag {
  flag: string;
  reason: string;
  action: string;
}

export interface Host {
  host_id: string;
  label: string;
  kind: string;
  state: HostState;
  reason: string;
  action: string; // '' = nothing to do
  last_seen_at: string | null;
  flags: HostFlag[];
  // live: no other ledger took its place. pending: null until a heartbeat told
  ledgers: { live: boolean; pending: number | null; converged_at: string | null }[];
}

export interface Hosts {
  hosts: Host[];
}

export interface Capabilities {
  version: string;
  timezone: string;
  metrics: Record<string, string[]>;
}

/** Who is looking. */
export interface Me {
  scope: "viewer" | "admin";
}
