import { HubError, logOut, type Query } from "./api";
import { coerce, metricsOf, whyUnknown, type Values } from "./coerce";
import { presetRange, suitableGranularity, today } from "./dates";
import { coalesce, listen, type LiveState } from "./live";
import { Panel } from "./panel.svelte";
import {
  commonValues,
  DEFAULTS,
  obeyCapabilities,
  readSelection,
  writeSelection,
  type Filter,
  type Selection,
} from "./selection";
import type { Activity, Breakdown, Capabilities, Heatmap, Hosts, Me, Summary, TopSessions } from "./types";

/** Everything the page shows: what is selected, what the hub answered, and whether it is live. */
export class Dashboard {
  selection = $state<Selection>(structuredClone(DEFAULTS));
  notices = $state<string[]>([]);
  live = $state<LiveState>("connecting");
  signedOut = $state(false);

  readonly me = new Panel<Me>();
  readonly capabilities = new Panel<Capabilities>();
  readonly summary = new Panel<Summary>();
  readonly activity = new Panel<Activity>();
  readonly heatmap = new Panel<Heatmap>();
  readonly top = new Panel<TopSessions>();
  readonly breakdown = new Panel<Breakdown>();
  readonly hosts = new Panel<Hosts>();

  #stopListening: (() => void) | null = null;
  #usageChanged = false;
  readonly #refresh = coalesce(() => this.#load());

  /** The zone in which days are cut: chosen, else the hub's. */
  timezone = $derived(
    this.selection.timezone ?? this.summary.data?.timezone ?? this.capabilities.data?.timezone ?? "UTC",
  );
  ready = $derived(this.capabilities.data !== null);
  unreachable = $derived(this.summary.error?.status === 0);

  async start(): Promise<void> {
    this.signedOut = false;
    await Promise.all([this.me.load("me"), this.capabilities.load("capabilities")]);
    if (this.#noticeSignedOut()) return;
    if (!this.capabilities.data) return; // the page says why and offers to try again
    this.readAddress();
    this.refresh();
    this.#stopListening?.();
    this.#stopListening = listen({
      url: "api/v1/events",
      onState: (state) => this.#follow(state),
      onUpdate: (changed) => this.refresh(changed.some((what) => what !== "hosts")),
    });
  }

  #follow(state: LiveState): void {
    const before = this.live;
    this.live = state;
    if (state === "reconnecting") void this.me.load("me").then(() => this.#noticeSignedOut());
    if (state === "live" && before === "reconnecting") void this.#obeyAgain();
  }

  /** A hub that was away may have come back as another version. */
  async #obeyAgain(): Promise<void> {
    const version = this.capabilities.data?.version;
    await this.capabilities.load("capabilities");
    const now = this.capabilities.data;
    if (!now) return;
    const { selection, notices } = obeyCapabilities(this.selection, now);
    if (now.version !== version)
      notices.push(`The hub is now version ${now.version}: reload the page to have its page.`);
    if (notices.length === 0) return;
    this.selection = selection;
    this.notices = notices;
    this.refresh();
  }

  /** Ask again; without `usage` only what a heartbeat of a host can change. */
  refresh(usage = true): void {
    this.#usageChanged ||= usage;
    this.#refresh();
  }

  stop(): void {
    this.#stopListening?.();
    this.#stopListening = null;
  }

  readAddress(): void {
    const read = readSelection(location.search);
    const hub = this.capabilities.data;
    const obeyed = hub ? obeyCapabilities(read.selection, hub) : { selection: read.selection, notices: [] };
    this.selection = obeyed.selection;
    this.notices = [...read.notices, ...obeyed.notices];
  }

  async readAddressAndRefresh(): Promise<void> {
    if (!this.ready) return;
    await this.capabilities.load("capabilities");
    this.readAddress();
    void this.#load(true);
  }

  /** What a panel can show: each metric that the hub has for it, with the reason where nobody reports it. */
  metricsFor(endpoint: string): { metric: string; unknown: string | null }[] {
    const hub = this.capabilities.data;
    if (!hub) return [];
    const harnesses = this.selection.filters.harness ?? [];
    return metricsOf(hub, endpoint).map((metric) => ({ metric, unknown: whyUnknown(hub, metric, harnesses) }));
  }

  /** Change the selection, the address and what is shown. */
  select(change: Partial<Selection>): void {
    this.selection = { ...this.selection, ...change };
    this.notices = [];
    history.replaceState(null, "", `${location.pathname}${writeSelection(this.selection)}`);
    void this.#load(true);
  }

  /** Show one value of a dimension alone; "" is what has none. */
  only(filter: Filter, value: string): void {
    this.select({ filters: { ...this.selection.filters, [filter]: [value] } });
  }

  async signOut(): Promise<void> {
    await logOut().catch(() => undefined);
    this.#leave();
  }

  async #load(usage = this.#usageChanged): Promise<void> {
    const { heatmap, top, groupBy, by } = this.selection;
    const common = this.#common();
    const asked = [this.hosts.load("hosts"), this.#ask(this.summary, "analytics/summary", common)];
    if (usage) {
      this.#usageChanged = false;
      asked.push(
        this.#ask(this.heatmap, "analytics/heatmap", { ...common, metric: [heatmap] }),
        this.#ask(this.top, "analytics/top-sessions", { ...common, metric: [top], limit: ["10"] }),
        this.#ask(this.breakdown, "analytics/breakdown", { ...common, by: [by] }),
        this.#loadActivity({ ...common, group_by: [groupBy] }),
      );
    }
    await Promise.all(asked);
    this.#noticeSignedOut();
  }

  /**
   * Nothing is sent that this hub cannot be asked: what of the selection was put back was told when it was read. Values
   * of filters stay: a host that the page has just heard of may be newer than the list of all.
   */
  #ask<T>(panel: Panel<T>, endpoint: string, wanted: Values): Promise<void> {
    const found = coerce({ ...this.capabilities.data, values: {} }, endpoint, wanted);
    if (found.endpoint === null) return panel.refuse(`This hub does not have ${endpoint}.`);
    const query: Query = {};
    for (const [name, value] of found.query) query[name] = [...(query[name] ?? []), value];
    return panel.load(found.endpoint, query);
  }

  /** The step needs the range, which for "everything" only the hub knows. */
  async #loadActivity(wanted: Values): Promise<void> {
    let granularity = this.selection.granularity;
    if (!granularity) {
      const [from, to] = [wanted["from"]?.[0], wanted["to"]?.[0]];
      const known = from && to ? { from, to } : await this.#wholeRange();
      granularity = known ? suitableGranularity(known.from, known.to) : "day";
    }
    await this.#ask(this.activity, "analytics/activity", { ...wanted, granularity: [granularity] });
  }

  async #wholeRange(): Promise<{ from: string; to: string } | null> {
    await this.summary.settled;
    const { from, to } = this.summary.data ?? {};
    return from && to ? { from, to } : null;
  }

  #common(): Values {
    const { range } = this.selection;
    return commonValues(this.selection, range === "custom" ? this.selection : presetRange(range, today(this.timezone)));
  }

  #noticeSignedOut(): boolean {
    const panels = [
      this.me,
      this.capabilities,
      this.summary,
      this.heatmap,
      this.top,
      this.breakdown,
      this.hosts,
      this.activity,
    ];
    if (!panels.some((panel) => panel.error instanceof HubError && panel.error.status === 401)) return false;
    this.#leave();
    return true;
  }

  #leave(): void {
    this.stop();
    this.signedOut = true;
    for (const panel of [this.me, this.summary, this.heatmap, this.top, this.breakdown, this.hosts, this.activity])
      panel.clear();
  }
}
