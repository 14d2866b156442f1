// Generated from the API's OpenAPI document by `make types`: change the types of the hub instead.

/** Every bucket of the range is in each series; the greatest series comes first, the others together last. Without `group_by` there is one. */
export interface Activity {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  granularity: "day" | "hour" | "month" | "week";
  group_by: string | null;
  series: Series[];
}

export interface AgentInfo {
  version: string;
  /** lowest, highest */
  protocols?: number[];
  digest_sets?: number[];
  features?: string[];
}

export interface Asked {
  /** one for each live ledger */
  directives: DirectiveStatus[];
}

/** The parts add up to the summary of the same range and filters. */
export interface Breakdown {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  by: string;
  rows: Part[];
}

/** `hash` changes when anything else here does; clients send it back as If-None-Match. `hosts`, `harnesses` and `values` are empty for the credential of a host. */
export interface Capabilities {
  version: string;
  /** lowest, highest */
  protocols: number[];
  digest_sets: number[];
  content_types: string[];
  encodings: string[];
  limits: Record<string, number>;
  features: string[];
  /** the hub's, used where none is asked for */
  timezone: string;
  /** first and last that can be asked for */
  days: string[];
  /** path below /api/v1/ -> parameters */
  routes: Record<string, Record<string, Takes>>;
  /** common to all analytics */
  parameters: string[];
  counted: string[];
  granularities: string[];
  group_by: string[];
  sorts: string[];
  /** by endpoint */
  metrics: Record<string, string[]>;
  metric_definitions: Metric[];
  counters: string[];
  /** harness -> the newest that this hub knows */
  data_versions: Record<string, number>;
  /** over all hosts: counters and metrics */
  harnesses: Record<string, Record<string, Reported>>;
  /** the first `limits.hosts_listed` */
  hosts: HostCounters[];
  /** of filters, where all can be listed: host, harness, label */
  values: Record<string, string[]>;
  prices: Facts;
  hash: string;
}

/** One of the 168 hours. `hours`: how many hours of the range lie in it, so that `value / hours` is an average. An hour that comes twice counts twice, one that is skipped not at all, and half an hour as 0.5. */
export interface Cell {
  /** 0 = Monday */
  day_of_week: number;
  hour: number;
  value: number | null;
  hours: number;
  coverage: Coverage;
}

/** What one ledger has of the session out of one log, by harness, provider and model. `counted` false: set aside, because the copy at `counts_at` counts (null: none does yet); `conflicts`: exact there and here, with other numbers. */
export interface Contribution {
  host: HostName;
  ledger_id: string;
  counted: boolean;
  counts_at: Place | null;
  conflicts: number;
  source_key: string | null;
  harness: string | null;
  provider: string | null;
  model: string | null;
  events: number;
  /** of usage: messages are not told apart by it */
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens: number | null;
  first_at: string;
  last_at: string;
  data_versions: number[];
  /** the first and the last */
  batches: number[];
  /** that these requests were priced with */
  prices: PriceTable[];
  times: Times;
  /** events dated ahead of the machine's clock */
  clock_skew: number;
  /** … read by an older parser, and the log is gone */
  old_data: number;
  /** … with counters of 0 that no parser version stands for */
  unstated: number;
}

/** The session as one ledger has it: what of it counts, how it came here, and whether the ledger is all here. */
export interface Copy {
  host: HostName;
  ledger_id: string;
  /** it supplies project, times and messages */
  chosen: boolean;
  /** a newer version of its row was rejected */
  stale: boolean;
  messages: number;
  events_counted: number;
  /** another copy of the same requests counts */
  events_set_aside: number;
  /** of the parser that read its row; null: its own row has not come */
  data_version: number | null;
  batch_no: number | null;
  /** that batch */
  received_at: string | null;
  seq: number | null;
  source_key: string | null;
  /** where the machine's policy sends it */
  source_path: string | null;
  source_state: string | null;
  /** of its ledger: the last full push */
  generation: number;
  /** of the ledger's last batch */
  verdict: string | null;
  converged_at: string | null;
  agent_version: string;
}

/** Of `events`, how many reported it, and how many of these were lower bounds or derived. */
export interface Coverage {
  events: number;
  reported: number;
  lower_bound: number;
  derived: number;
}

/** For people. `note`: what its agent says, or why it was given up. `done` of `of` steps, 0 = unknown. */
export interface DirectiveStatus {
  directive_id: string;
  ledger_id: string;
  kind: string;
  state: "done" | "failed" | "given_up" | "open" | "running";
  asked_by: string;
  reason: string;
  asked_at: string;
  heard_at: string | null;
  done: number;
  of: number;
  note: string;
}

/** What a machine enrols with, once for each of its uses. It is told this once: the hub keeps only its hash. */
export interface EnrollCode {
  code: string;
  /** machines; null = any number */
  uses: number | null;
  /** null = never */
  expires_at: string | null;
}

/** A day. Tokens and cost are null where nothing was reported: `coverage.events` tells not reported from nothing happened. Counts are 0. Money is microdollars. */
export interface Entry {
  date: string;
  value: number | null;
  level: number;
  coverage: Coverage;
}

/** What `/capabilities` says of prices. `own`: how many overrides and aliases lie over the table. `priced_otherwise`: stored requests that another table priced, as of `counted_at`: `trueup hub reprice` brings them to this one. Null before they were counted. */
export interface Facts {
  digest: string;
  date: string;
  source: string;
  own: number;
  priced_otherwise: number | null;
  counted_at: string | null;
}

/** Something to know beside the state, in words, and what to do about it ('' = nothing). */
export interface Flag {
  flag: string;
  reason: string;
  action: string;
}

/** How far it is: rows that went in this run, rows that are left. */
export interface Forgotten {
  removed: number;
  left: number;
}

export interface HarnessCounts {
  key: string | null;
  label: string | null;
  /** that started inside the range */
  sessions: number;
  messages: number;
}

/** Every day of the range. `level` is 0 for null, 0 and less, else 1 … 4 by `level_of`. */
export interface Heatmap {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  metric: string;
  entries: Entry[];
  levels: Levels;
}

/** A host with what it was asked for, the newest first, and the logs that its agent reads. */
export interface Host {
  host_id: string;
  host_no: number;
  label: string;
  labels: Record<string, string>;
  kind: string;
  platform: string;
  state: "behind" | "converged" | "diverged" | "forked" | "never" | "retired" | "silent";
  reason: string;
  action: string;
  flags: Flag[];
  enrolled_at: string;
  last_seen_at: string | null;
  expected_silence_seconds: number;
  readmitted_at: string | null;
  retired_at: string | null;
  forgotten_at: string | null;
  ledgers: LedgerReport[];
  directives: DirectiveStatus[];
  /** at most 1,000, those that lost something first */
  sources: SourceReport[];
  sources_total: number;
}

/** What may be changed; what is absent stays. */
export interface HostChange {
  label?: string | null;
  labels?: Record<string, string> | null;
  retired?: boolean | null;
}

export interface HostCounters {
  host_id: string;
  label: string;
  /** '' = unknown harness */
  harnesses: Record<string, Record<string, Reported>>;
}

/** `total` is without the retired ones: nothing more is expected of them. */
export interface HostCounts {
  total: number;
  converged: number;
  behind: number;
  silent: number;
  diverged: number;
  forked: number;
  never: number;
  retired: number;
}

export interface HostName {
  id: string;
  label: string;
}

export interface HostReport {
  host_id: string;
  host_no: number;
  label: string;
  labels: Record<string, string>;
  kind: string;
  platform: string;
  state: "behind" | "converged" | "diverged" | "forked" | "never" | "retired" | "silent";
  reason: string;
  action: string;
  flags: Flag[];
  enrolled_at: string;
  last_seen_at: string | null;
  expected_silence_seconds: number;
  readmitted_at: string | null;
  retired_at: string | null;
  forgotten_at: string | null;
  ledgers: LedgerReport[];
}

/** One host: its state, why, and what to do; `flags` say what stands beside the state. */
export interface HostTrust {
  host_id: string;
  label: string;
  state: "behind" | "converged" | "diverged" | "forked" | "never" | "retired" | "silent";
  reason: string;
  action: string;
  complete_up_to: string | null;
  pending_changes: number;
  flags: Flag[];
}

export interface Hosts {
  /** in the order of their enrolment */
  hosts: HostReport[];
  /** null on the last page */
  next_cursor: string | null;
}

/** The cells add up to the summary. Tokens and money are null where nothing was reported; counts are 0. */
export interface HourOfWeek {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  metric: string;
  cells: Cell[];
}

/** `coverage`: of `total_tokens`. */
export interface Leader {
  key: string | null;
  label: string | null;
  total_tokens: number;
  coverage: Coverage;
}

/** A ledger as the API shows it. What only a heartbeat tells is None until one came. */
export interface LedgerReport {
  ledger_id: string;
  state: "behind" | "converged" | "diverged" | "forked" | "never" | "superseded";
  /** no other ledger took its place: what it said last is true of its host */
  live: boolean;
  verdict: string | null;
  acked_seq: number;
  /** hex */
  digest: string;
  sessions: number;
  messages: number;
  events: number;
  rejected: number;
  batch_no: number;
  /** the last full push that was committed */
  generation: number;
  /** the one under way, 0 = none, which has come to full_seq of full_target */
  open_generation: number;
  full_seq: number;
  full_target: number;
  first_contact_at: string;
  last_batch_at: string | null;
  converged_at: string | null;
  /** every stored row was recomputed by then */
  scrubbed_at: string | null;
  /** rows that this found altered or lost, ever */
  corrected: number;
  /** the last of them */
  corrected_at: string | null;
  /** when the ledger sent them again */
  mended_at: string | null;
  /** ledgers that it took the place of */
  replaces: string[];
  replaced_by: string | null;
  superseded_at: string | null;
  agent_version: string | null;
  /** what its agent can do */
  agent: AgentInfo | null;
  parsers: Record<string, Record<string, number>>;
  versions: Versions;
  /** events came with counters of 0 that no parser version stands for: unknown */
  unstated: boolean;
  policy: Record<string, string>;
  seen_at: string | null;
  /** how far its machine's clock is ahead of the hub's */
  clock_skew_seconds: number | null;
  head_seq: number | null;
  /** changes that the ledger had when it last told, and the hub has not */
  pending: number | null;
  skipped_lines: number | null;
  unknown_records: number | null;
  old_data: number | null;
  source_gone: number | null;
  drift_suspected: string[];
  /** fields that its agent keeps back because this hub does not know them */
  withheld: string[];
  last_error: string | null;
}

/** From which value on a day has at least this level; null when no day has a positive value. */
export interface Levels {
  l1: number | null;
  l2: number | null;
  l3: number | null;
  l4: number | null;
}

export interface LoggedIn {
  scope: "admin" | "viewer";
  /** of the token */
  name: string;
}

/** Either an access token or a one-time login code. */
export interface Login {
  token?: string | null;
  code?: string | null;
}

/** Who the hub takes the caller for, and by what. */
export interface Me {
  scope: "admin" | "viewer";
  by: "session" | "token";
  name: string;
}

/** `id` null: usage that belongs to no message. `event_id`: the request that the message is part of; the first of several messages of one request has its usage, and none where it counts in another session. */
export interface Message {
  id: string | null;
  at: string | null;
  place: Place;
  role: string | null;
  kind: string | null;
  model: string | null;
  tool_names: string[];
  size_chars: number | null;
  event_id: string | null;
  usage: Usage | null;
}

/** In the order of their times, those without one last. The usage of all pages adds up to the session's totals. */
export interface Messages {
  id: string;
  counted: string;
  messages: Message[];
  next_cursor: string | null;
}

/** What an analytics endpoint can be asked for. Counts are never null; tokens and money are when unreported. */
export interface Metric {
  name: string;
  kind: "count" | "money" | "tokens";
  additive: boolean;
}

export interface ModelUsage {
  /** null = unknown */
  key: string | null;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
}

/** By `total_tokens`; null where none were reported. The `key` of a day is its date. */
export interface MostActive {
  day: Leader | null;
  harness: Leader | null;
  model: Leader | null;
  project: Leader | null;
  host: Leader | null;
}

/** For how many machines, for how long, and which labels each gets. */
export interface NewEnrollCode {
  /** null = any number */
  uses?: number | null;
  /** null = never */
  expires_seconds?: number | null;
  labels?: Record<string, string>;
}

/** `share`: this part of all `total_tokens`, 0 … 1; null where it or all of them reported none. */
export interface Part {
  key: string | null;
  label: string | null;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens: number | null;
  share: number | null;
}

/** Tokens and cost: over the sessions that reported any inside the range. Messages: over the sessions that started inside it, of their whole life. Null over nothing. Not additive. */
export interface PerSession {
  messages: number | null;
  output_tokens: number | null;
  total_tokens: number | null;
  cost_microusd: number | null;
}

/** Where a row is: a ledger, and its host. */
export interface Place {
  host: HostName;
  ledger_id: string;
}

/** `start`: a date, or for hours a local time with its offset. */
export interface Point {
  start: string;
  totals: Totals;
  coverage: Record<string, Coverage>;
}

export interface PriceTable {
  digest: string;
  date: string;
}

/** What every error looks like (RFC 9457). `code` is stable; some errors have further members beside these. */
export interface Problem {
  /** urn:trueup:problem: and the code */
  type: string;
  title: string;
  status: number;
  /** what was wrong and what to do, for people */
  detail: string;
  code: string;
  /** in every line of the hub's log about the request */
  request_id: string;
}

/** A row as it came last. It is tried again when its agent or the hub changes version, and goes when it is accepted or its ledger has it no more. */
export interface RejectedRow {
  host: HostName;
  ledger_id: string;
  /** the list of the batch that it came in */
  table: "events" | "messages" | "sessions" | "tombstones";
  /** hex; null where it could not be read */
  key: string | null;
  seq: number | null;
  /** bad_value, bad_row, failed, not_faithful */
  code: string;
  reason: string;
  rejected_at: string;
  batch_no: number;
  /** of the agent that sent it */
  agent_version: string | null;
  /** one of it had been accepted: it left the sums */
  older_version: boolean;
}

/** The latest first. `next_cursor`: null on the last page. */
export interface Rejections {
  rejections: RejectedRow[];
  /** on all pages: `rejected` of the trust block under the same filters */
  total: number;
  next_cursor: string | null;
}

/** How well it is known: for none, some or all events, and whether any of them is a bound or derived. */
export interface Reported {
  reported: "all" | "none" | "some";
  lower_bound: boolean;
  derived: boolean;
}

/** What an agent is asked for, and why, for people. */
export interface Resync {
  kind?: "full_push" | "push" | "repair" | "rescan";
  reason?: string;
}

/** `others`: of how many groups it is the sum, without a key; 0 = of the one that it is called by. */
export interface Series {
  key: string | null;
  label: string | null;
  others: number;
  points: Point[];
}

/** Totals are of its whole life, whichever ledgers have it. */
export interface Session {
  id: string;
  session_id: string | null;
  harness: string | null;
  project: string | null;
  host: HostName | null;
  models: string[];
  /** of its whole life, also those without a time */
  messages: number | null;
  started_at: string | null;
  /** its last 15 minutes with usage */
  last_active_at: string | null;
  relationship: string | null;
  parent_id: string | null;
  git_branch: string | null;
  harness_version: string | null;
  os_user: string | null;
  counted: string;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens: number | null;
  /** at most 500, the greatest */
  by_model: ModelUsage[];
  models_total: number;
  copies: Copy[];
  /** at most 1,000 */
  children: string[];
  children_total: number;
}

/** Totals, coverage and peak: inside the range and the filters. */
export interface SessionItem {
  id: string;
  session_id: string | null;
  harness: string | null;
  project: string | null;
  host: HostName | null;
  models: string[];
  /** of its whole life, also those without a time */
  messages: number | null;
  started_at: string | null;
  /** its last 15 minutes with usage */
  last_active_at: string | null;
  relationship: string | null;
  parent_id: string | null;
  git_branch: string | null;
  harness_version: string | null;
  os_user: string | null;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens: number | null;
  /** its requests that `quality` asks for (of unpriced: tokens); null where nothing is asked */
  of_quality: number | null;
}

/** Totals as those of the session itself: the sum of the parts that count (all parts where all copies do). `parts_total` and `with_subagents.sessions` say how many there are where more than 500 are not listed. */
export interface SessionUsage {
  id: string;
  counted: string;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens: number | null;
  /** copies that do not count; sessions: this one, if there are any */
  set_aside: Sum;
  copies: Copy[];
  parts: Contribution[];
  parts_total: number;
  /** of all tokens of `with_subagents` */
  share: number | null;
  with_subagents: Sum;
  subagents: Subagent[];
}

/** `next_cursor`: null on the last page. What has no value for `sort` comes last, in either order. Sorted by what was used inside the range; by messages: of the whole life, which each session's `messages` says. */
export interface Sessions {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  sort: string;
  order: string;
  quality: string | null;
  /** where `quality` is of one */
  counter: string | null;
  sessions: SessionItem[];
  next_cursor: string | null;
}

/** A log, and whose it is. */
export interface Source {
  ledger_id: string;
  /** hex */
  source_key: string;
  harness: string;
  state: string;
  bytes_read: number;
  lines: number;
  skipped_lines: number;
  unknown_records: number;
  /** where the machine's policy sends it */
  path: string | null;
  host: HostName;
}

export interface SourceReport {
  ledger_id: string;
  /** hex */
  source_key: string;
  harness: string;
  state: string;
  bytes_read: number;
  lines: number;
  skipped_lines: number;
  unknown_records: number;
  /** where the machine's policy sends it */
  path: string | null;
}

/** Host by host. `next_cursor`: null on the last page. */
export interface Sources {
  sources: Source[];
  /** on all pages */
  total: number;
  next_cursor: string | null;
}

/** `share`: of all tokens of `with_subagents`; null where it reported none. */
export interface Subagent {
  id: string;
  session_id: string | null;
  harness: string | null;
  project: string | null;
  host: HostName | null;
  models: string[];
  /** of its whole life, also those without a time */
  messages: number | null;
  started_at: string | null;
  /** its last 15 minutes with usage */
  last_active_at: string | null;
  relationship: string | null;
  parent_id: string | null;
  git_branch: string | null;
  harness_version: string | null;
  os_user: string | null;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens: number | null;
  share: number | null;
}

export interface Sum {
  sessions: number;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
  peak_context_tokens: number | null;
}

/** Peaks, active sessions and days, averages and medians are not additive. The flat names are agentsview's. */
export interface Summary {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  events: number;
  totals: Totals;
  coverage: Record<string, Coverage>;
  unpriced_tokens: number;
  peak_context_tokens: number | null;
  /** that used anything */
  active_sessions: number;
  active_days: number;
  averages: PerSession;
  medians: PerSession;
  most_active: MostActive;
  /** that started inside the range */
  total_sessions: number;
  total_messages: number;
  total_output_tokens: number | null;
  /** active sessions that reported output tokens */
  token_reporting_sessions: number;
  avg_messages: number | null;
  median_messages: number | null;
  p90_messages: number | null;
  /** that were used; unknown ones have no name */
  models: string[];
  harnesses: HarnessCounts[];
  /** with a name and anything in the range */
  active_projects: number;
  /** of messages whose project is known: how many are in the three with most, 0 … 1 */
  concentration: number | null;
  /** of all messages: how many have no project, 0 … 1 */
  unknown_project: number | null;
}

/** What may be given for a parameter: by `kind`, one of `choices` (of a dimension also `label:NAME`), or from `lowest` to `highest`. `default` absent = not asked, or `needed`. */
export interface Takes {
  kind: string;
  choices?: string[];
  lowest?: number;
  highest?: number;
  default?: string | number | null;
  needed?: boolean;
}

/** Whose time requests have, as counts of them: their record's, only their session's, only their file's. */
export interface Times {
  record: number;
  session: number;
  file: number;
}

/** `value`: of the metric, money in microdollars; `coverage`: of the metric. All inside the range. */
export interface TopSession {
  id: string;
  session_id: string | null;
  harness: string | null;
  project: string | null;
  host: HostName | null;
  models: string[];
  /** of its whole life, also those without a time */
  messages: number | null;
  started_at: string | null;
  /** its last 15 minutes with usage */
  last_active_at: string | null;
  relationship: string | null;
  parent_id: string | null;
  git_branch: string | null;
  harness_version: string | null;
  os_user: string | null;
  value: number;
  coverage: Coverage;
  totals: Totals;
}

/** `not_reported`: sessions of the range that reported nothing for the metric, so they cannot be ranked. */
export interface TopSessions {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  metric: string;
  sessions: TopSession[];
  not_reported: number;
}

/** Counts are never null. `sessions`: those that started there. `unpriced_tokens`: without a list price. */
export interface Totals {
  messages: number;
  user_messages: number;
  tool_calls: number;
  sessions: number;
  input_tokens: number | null;
  cache_read_tokens: number | null;
  cache_write_tokens: number | null;
  cache_write_1h_tokens: number | null;
  output_tokens: number | null;
  reasoning_tokens: number | null;
  input_undivided_tokens: number | null;
  undivided_tokens: number | null;
  total_tokens: number | null;
  cost_microusd: number | null;
  /** may be negative */
  cache_savings_microusd: number | null;
  reported_cost_microusd: number | null;
  reported_credits: number | null;
  unpriced_tokens: number;
}

/** Filtered like the aggregate beside it. Facts of a whole host are filtered by host alone. `complete_up_to`: before this time no host has anything that is not counted, but for what `rejected` counts; null when one has never converged, or has diverged. Ledgers whose place another one took are left out. */
export interface Trust {
  as_of: string;
  complete_up_to: string | null;
  hosts: HostCounts;
  /** hosts */
  needs_resync: number;
  /** hosts */
  drift_suspected: number;
  pending_changes: number;
  old_data: number;
  source_gone: number;
  set_aside_duplicates: number;
  conflicting_copies: number;
  rejected: number;
  unpriced_tokens: number;
  /** since then every stored row was recomputed; null: of one ledger none ever was */
  scrubbed_at: string | null;
}

export interface TrustReport {
  from: string;
  to: string;
  timezone: string;
  counted: string;
  trust: Trust;
  hosts: HostTrust[];
}

/** One request. Counters are null where not reported; `lower_bounds`, `derived` and `unstated` name counters: at least so much, got by subtraction, sent as 0 by nobody knows which parser. Cost is at list price. */
export interface Usage {
  event_id: string;
  at: string;
  time_quality: "file" | "record" | "session" | null;
  counted: boolean;
  /** set aside: where the copy is that counts instead */
  counts_at: Place | null;
  place: Place;
  harness: string | null;
  provider: string | null;
  model: string | null;
  service_tier: string | null;
  speed: string | null;
  input_tokens: number | null;
  cache_read_tokens: number | null;
  cache_write_tokens: number | null;
  cache_write_1h_tokens: number | null;
  output_tokens: number | null;
  reasoning_tokens: number | null;
  input_undivided_tokens: number | null;
  undivided_tokens: number | null;
  /** prompt size: never summed */
  context_tokens: number | null;
  total_tokens: number | null;
  web_searches: number | null;
  lower_bounds: string[];
  derived: string[];
  unstated: string[];
  cost_microusd: number | null;
  cache_savings_microusd: number | null;
  /** a decimal number in its unit */
  reported_cost: string | null;
  reported_cost_unit: string | null;
  reported_cost_status: string | null;
  old_data: boolean;
  clock_skew: boolean;
  data_version: number;
  batch_no: number;
}

/** Of one ledger's agent, against this hub. What is empty is nothing to tell. */
export interface Versions {
  /** read by an older data version than this hub knows */
  older_parsers: string[];
  /** harnesses whose rows have not all been read again by the parser that it has */
  unfinished: string[];
  /** data versions and harnesses that this hub does not know */
  unknown: string[];
  agent_lacks: string[];
  hub_lacks: string[];
}
