import { HubError, logOut, type Query } from "./api";
import { coerce, metricsOf, whyUnknown, type Values } from "./coerce";
import { presetOf, presetRange, stepRange, today, type Days } from "./dates";
import { coalesce, listen, type LiveState } from "./live";
import { Panel } from "./panel.svelte";
import { pathOf, placeOf, type Place } from "./router";
import {
  choicesElsewhere,
  commonValues,
  DEFAULTS,
  obeyCapabilities,
  readSelection,
  usualOf,
  writeSelection,
  type Filter,
  type Read,
  type Selection,
} from "./selection";
import type { Capabilities, Me, TrustReport } from "./types";

/** Asks the hub for what a page shows; without `usage` only for what a heartbeat of a host can change. */
export type Load = (usage: boolean) => Promise<unknown>;

const RETRY_MS = 5_000;
const CLOCK_MS = 10_000;
const USUAL = "trueup.selection";

/** What all pages share: where the reader is, what is selected, who they are, what this hub can do, whether it is live. */
export class Hub {
  place = $state.raw<Place | null>(null); // null: there is no such page
  selection = $state.raw<Selection>(DEFAULTS);
  notices = $state.raw<string[]>([]);
  live = $state<LiveState>("connecting");
  signedOut = $state(false);
  now = $state(Date.now());

  readonly me = new Panel<Me>();
  readonly capabilities = new Panel<Capabilities>();
  readonly trust = new Panel<TrustReport>();

  /** The zone in which days are cut: chosen, else the hub's. */
  timezone = $derived(this.selection.timezone ?? this.capabilities.data?.timezone ?? "UTC");
  ready = $derived(this.capabilities.data !== null && this.me.data !== null);
  admin = $derived(this.me.data?.scope === "admin");
  /** Why the hub cannot answer just now, null while it does. */
  away = $derived.by(() => {
    const { error } = this.trust;
    return error && (error.status === 0 || error.status >= 500) ? error.message : null;
  });
  #labels = $derived(
    new Map(
      [...(this.capabilities.data?.hosts ?? []), ...(this.trust.data?.hosts ?? [])].map((h) => [h.host_id, h.label]),
    ),
  );

  readonly #root = new URL(document.baseURI).pathname;
  #loads = new Set<Load>();
  #usageChanged = false;
  #stop: (() => void)[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;
  #doubted = false; // the hub was away or nobody looked: it may have become another one
  #asking: Promise<void> | null = null;
  readonly #refresh = coalesce(() => this.#load());

  /** Begin, or begin again after signing in. */
  async start(): Promise<void> {
    this.signedOut = false;
    await Promise.all([this.me.load("me"), this.capabilities.load("capabilities")]);
    if (this.#noticeSignedOut() || !this.ready) return; // the page says why and offers to try again
    this.stop();
    this.#readAddress(readSelection(`?${remembered()}`));
    this.refresh();
    const clock = setInterval(() => (this.now = Date.now()), CLOCK_MS);
    const follow = () => void this.#followAddress();
    addEventListener("popstate", follow);
    const close = listen({
      url: "api/v1/events",
      onState: (state) => this.#followState(state),
      onUpdate: (changed) => this.refresh(changed.some((what) => what !== "hosts")),
    });
    this.#stop = [close, () => clearInterval(clock), () => removeEventListener("popstate", follow)];
  }

  stop(): void {
    for (const stop of this.#stop) stop();
    this.#stop = [];
    clearTimeout(this.#retry);
  }

  /** Have `load` called now, whenever the selection changes, and when the hub has news. Returns what ends that. */
  follow(load: Load): () => void {
    this.#loads.add(load);
    void load(true).then(() => this.#noticeSignedOut());
    return () => this.#loads.delete(load);
  }

  /** Ask again; without `usage` only what a heartbeat of a host can change. */
  refresh(usage = true): void {
    this.#usageChanged ||= usage;
    this.#refresh();
  }

  /**
   * Nothing is sent that this hub cannot be asked: what of the selection was put back was told when it was read. Values
   * of filters stay: a host that the page has just heard of may be newer than the list of all.
   */
  ask<T>(panel: Panel<T>, endpoint: string, wanted: Values, id: string | null = null): Promise<void> {
    return (panel.settled = this.#ask(panel, endpoint, wanted, id));
  }

  async #ask<T>(panel: Panel<T>, endpoint: string, wanted: Values, id: string | null): Promise<void> {
    const sure = await this.#sure();
    const found = coerce({ ...this.capabilities.data, values: {} }, endpoint, wanted);
    if (found.endpoint === null) return panel.refuse(`This hub does not have ${endpoint}.`);
    const query: Query = {};
    for (const [name, value] of found.query) query[name] = [...(query[name] ?? []), value];
    const path = found.endpoint.replace(/\{\w+\}/, encodeURIComponent(id ?? ""));
    if (!sure) return panel.miss(this.capabilities.error, path, query);
    await panel.load(path, query);
    this.#noticeSignedOut(panel);
  }

  /** First and last day of the selection, nulls for everything there is. */
  range(): { from: string | null; to: string | null } {
    const { range, from, to } = this.selection;
    return range === "custom" ? { from, to } : presetRange(range, today(this.timezone));
  }

  /** The days that are shown, null before the hub has said which those of "everything" are. */
  days = $derived.by((): Days | null => {
    const { from, to } = this.range();
    const said = this.trust.data;
    const days = { from: from ?? said?.from, to: to ?? said?.to };
    return days.from && days.to && days.from <= days.to ? { from: days.from, to: days.to } : null;
  });

  /** Whether there is a period before or after the one that is shown. */
  canStep(direction: 1 | -1): boolean {
    return this.#stepped(direction) !== null;
  }

  /** Go on or back by the length of what is shown. */
  step(direction: 1 | -1): void {
    const days = this.#stepped(direction);
    if (!days) return;
    const range = presetOf(days, today(this.timezone));
    this.select({ range, ...(range === "custom" ? days : { from: null, to: null }) });
  }

  #stepped(direction: 1 | -1): Days | null {
    const { from, to } = this.range();
    return from && to ? stepRange({ from, to }, direction, today(this.timezone)) : null;
  }

  /** What every panel asks: range, zone, filters. */
  common(): Values {
    return commonValues(this.selection, this.range());
  }

  /** What a panel can show: each metric that the hub has for it, with the reason where nobody reports it. */
  metricsFor(endpoint: string): { metric: string; unknown: string | null }[] {
    const hub = this.capabilities.data;
    if (!hub) return [];
    const harnesses = this.selection.filters.harness ?? [];
    return metricsOf(hub, endpoint).map((metric) => ({ metric, unknown: whyUnknown(hub, metric, harnesses) }));
  }

  /** How a value of a dimension is called; "" is what has none. */
  nameOf(dimension: string, value: string): string {
    if (value === "") return `unknown ${dimension}`;
    return dimension === "host" ? (this.#labels.get(value) ?? value) : value;
  }

  /** The address of a page with this selection, or one that differs; relative to the root of the app. */
  link(place: Place, change: Partial<Selection> = {}): string {
    return pathOf(place) + writeSelection({ ...this.selection, ...change }, place.page) || ".";
  }

  /** Change the selection, the address and what is shown. */
  select(change: Partial<Selection>): void {
    if (this.place) this.go(this.link(this.place, change));
  }

  /** Show only these values of a dimension; none: all. */
  filter(filter: Filter, values: string[]): void {
    const { [filter]: _, ...others } = this.selection.filters;
    this.select({ filters: values.length ? { ...others, [filter]: values } : others });
  }

  /** Show one value of a dimension alone; "" is what has none, also of `label:NAME`. */
  drill(dimension: string, value: string): void {
    const label = dimension.startsWith("label:") ? `${dimension.slice("label:".length)}:${value}` : null;
    const filter: Filter = label === null ? (dimension as Filter) : "label";
    this.select({ filters: { ...this.selection.filters, [filter]: [label ?? value] } });
  }

  /** Go to an address of the app, as by a link. */
  go(address: string): void {
    const there = new URL(address, document.baseURI);
    if (there.href !== location.href) history.pushState(null, "", there);
    const before = this.place;
    this.#readAddress();
    if (before?.page !== this.place?.page || before?.id !== this.place?.id) scrollTo(0, 0);
    remember(usualOf(this.selection));
    this.refresh();
  }

  async signOut(): Promise<void> {
    await logOut().catch(() => undefined);
    this.#leave();
  }

  /** `usual`: what an address without a query stands for, when the reader comes. */
  #readAddress(usual: Read | null = null): void {
    const path = location.pathname;
    this.place = path.startsWith(this.#root) ? placeOf(path.slice(this.#root.length)) : null;
    const hub = this.capabilities.data;
    if (!hub || !this.place) return;
    const read = usual && !location.search ? usual : readSelection(location.search);
    const wanted = { ...read.selection, ...choicesElsewhere(usual?.selection ?? this.selection, this.place.page) };
    const { selection, notices } = obeyCapabilities(wanted, hub, this.place.page);
    this.selection = selection;
    this.notices = [...read.notices, ...notices];
    // An address is always the whole truth of what it shows
    history.replaceState(null, "", new URL(this.link(this.place), document.baseURI));
  }

  async #followAddress(): Promise<void> {
    await this.capabilities.load("capabilities");
    this.#readAddress();
    this.refresh();
  }

  #followState(state: LiveState): void {
    this.live = state;
    if (state === "reconnecting" || state === "paused") this.#doubted = true;
    if (state === "reconnecting") void this.me.load("me").then(() => this.#noticeSignedOut());
    if (state === "live") void this.#sure();
  }

  /** True once the hub that answers has said what it can do; nothing else is asked before. */
  async #sure(): Promise<boolean> {
    if (!this.#doubted) return true;
    await (this.#asking ??= this.#obeyAgain().finally(() => (this.#asking = null)));
    return !this.#doubted;
  }

  async #obeyAgain(): Promise<void> {
    const version = this.capabilities.data?.version;
    await this.capabilities.load("capabilities");
    const now = this.capabilities.data;
    if (this.capabilities.error || !now) return;
    this.#doubted = false;
    if (!this.place) return;
    const { selection, notices } = obeyCapabilities(this.selection, now, this.place.page);
    if (now.version !== version)
      notices.push(`The hub is now version ${now.version}: reload the page to have its page.`);
    if (notices.length === 0) return;
    this.selection = selection;
    this.notices = notices;
    history.replaceState(null, "", new URL(this.link(this.place), document.baseURI));
    this.refresh();
  }

  async #load(): Promise<void> {
    const usage = this.#usageChanged;
    this.#usageChanged = false;
    clearTimeout(this.#retry);
    await Promise.all([this.ask(this.trust, "trust", this.common()), ...[...this.#loads].map((load) => load(usage))]);
    if (this.#noticeSignedOut() || !this.away) return;
    // The stream of events stays up where only the database is away
    this.#doubted = true;
    this.#usageChanged ||= usage;
    this.#retry = setTimeout(() => !document.hidden && this.refresh(), RETRY_MS);
  }

  #noticeSignedOut(...others: Panel<unknown>[]): boolean {
    const asked = [this.me, this.capabilities, this.trust, ...others];
    if (!asked.some(({ error }) => error instanceof HubError && error.status === 401)) return false;
    this.#leave();
    return true;
  }

  #leave(): void {
    this.stop();
    this.signedOut = true;
    this.me.clear();
    this.trust.clear();
  }
}

function remember(usual: string): void {
  try {
    if (usual) localStorage.setItem(USUAL, usual);
    else localStorage.removeItem(USUAL);
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
}

function remembered(): string {
  try {
    return localStorage.getItem(USUAL) ?? "";
  } catch {
    return "";
  }
}
