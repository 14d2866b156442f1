import { HubError, logOut, type Query } from "./api";
import { coerce, metricsOf, shown, whyUnknown, type Values } from "./coerce";
import { presetOf, presetRange, stepRange, today, type Days } from "./dates";
import { coalesce, listen, type LiveState } from "./live";
import { Panel } from "./panel.svelte";
import { pathOf, placeHere, type Place } from "./router";
import {
  choicesElsewhere,
  commonValues,
  DEFAULTS,
  FILTERS,
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

/** Which selection a question is about, counted; it goes along unseen. */
const TURN = Symbol("turn");
type Asked = Values & { [TURN]?: number };

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
  ended = $state(false); // the session, elsewhere or by its age
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
    const errors = [this.trust.error, this.me.error];
    return errors.find((error) => error && (error.status === 0 || error.status >= 500))?.message ?? null;
  });
  #labels = $derived(
    new Map(
      [...(this.capabilities.data?.hosts ?? []), ...(this.trust.data?.hosts ?? [])].map((h) => [h.host_id, h.label]),
    ),
  );

  #loads = new Set<Load>();
  #usageChanged = false;
  #stop: (() => void)[] = [];
  #starting: Promise<void> | null = null;
  #turn = 0; // of the selection
  #session = 0; // an answer to an earlier one does not end this one
  #retry: ReturnType<typeof setTimeout> | undefined;
  #doubted = false; // the hub was away or nobody looked: it may have become another one
  #asking: Promise<void> | null = null;
  readonly #refresh = coalesce(() => {
    const usage = this.#usageChanged;
    this.#usageChanged = false;
    return this.#load(usage);
  });

  /** Begin, or begin again after signing in. One at a time: a hub that is slow is not asked again before it answers. */
  start(): Promise<void> {
    return (this.#starting ??= this.#start().finally(() => (this.#starting = null)));
  }

  async #start(): Promise<void> {
    this.stop();
    this.signedOut = false;
    this.#session++;
    let asked = false;
    const close = listen({
      url: "api/v1/events",
      onState: (state) => {
        this.#followState(state);
        // What changed before the stream was open, it has not told
        if (asked && state === "live") this.refresh();
      },
      onUpdate: (changed) => asked && this.refresh(changed.some((what) => what !== "hosts")),
    });
    const clock = setInterval(() => (this.now = Date.now()), CLOCK_MS);
    const follow = () => this.#arrive();
    addEventListener("popstate", follow);
    this.#stop = [close, () => clearInterval(clock), () => removeEventListener("popstate", follow)];
    await Promise.all([this.me.load("me"), this.capabilities.load("capabilities")]);
    if (this.#noticeSignedOut()) return;
    if (!this.ready) return this.stop(); // the page says why and offers to try again
    this.#readAddress(readSelection(`?${remembered()}`));
    asked = true;
    this.refresh();
  }

  stop(): void {
    for (const stop of this.#stop) stop();
    this.#stop = [];
    clearTimeout(this.#retry);
  }

  /** Have `load` called now, whenever the selection changes, and when the hub has news. Returns what ends that. */
  follow(load: Load): () => void {
    this.#loads.add(load);
    void load(true);
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
  ask<T>(panel: Panel<T>, endpoint: string, wanted: Asked, id: string | null = null): Promise<void> {
    const turn = wanted[TURN] ?? panel.turn;
    // A load that had to wait for something may come after the one of the next selection
    if (turn < panel.turn) return panel.settled;
    panel.turn = turn;
    return (panel.settled = this.#ask(panel, endpoint, wanted, id));
  }

  async #ask<T>(panel: Panel<T>, endpoint: string, wanted: Values, id: string | null): Promise<void> {
    const session = this.#session;
    const sure = await this.#sure();
    if (this.signedOut || session !== this.#session) return;
    const found = coerce({ ...this.capabilities.data, values: {} }, endpoint, wanted);
    if (found.endpoint === null) return panel.refuse(`This hub does not have ${endpoint}.`);
    const query: Query = {};
    for (const [name, value] of found.query) query[name] = [...(query[name] ?? []), value];
    const path = found.endpoint.replace(/\{\w+\}/, encodeURIComponent(id ?? ""));
    if (!sure) return panel.miss(this.capabilities.error, path, query);
    await panel.load(path, query);
    if (session !== this.#session || this.#noticeSignedOut(panel)) return;
    this.#leaveOut(panel.error);
  }

  /** Projects and models, of which there is no list, only an answer tells to be unknown. */
  #leaveOut(error: HubError | null): void {
    const filter = FILTERS.find((name) => name === error?.about?.parameter);
    if (error?.code !== "unknown_value" || !error.about || !filter || !this.place) return;
    const { [filter]: given = [], ...others } = this.selection.filters;
    const [unknown, known] = [true, false].map((is) => given.filter((one) => error.about?.values.includes(one) === is));
    if (!unknown?.length) return; // another panel was told so before
    const filters = known?.length ? { ...others, [filter]: known } : others;
    this.selection = { ...this.selection, filters };
    this.#turn++;
    this.notices = [
      ...this.notices,
      ...unknown.map((value) => `This hub knows no ${filter} “${shown(value)}”; left out.`),
    ];
    history.replaceState(null, "", new URL(this.link(this.place), document.baseURI));
    this.refresh();
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
  common(): Asked {
    return { ...commonValues(this.selection, this.range()), [TURN]: this.#turn };
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
    const { filters } = this.selection;
    if (!dimension.startsWith("label:"))
      return this.select({ filters: { ...filters, [dimension as Filter]: [value] } });
    const name = dimension.slice("label:".length) + ":"; // labels of other names narrow further
    const label = [...(filters.label ?? []).filter((one) => !one.startsWith(name)), name + value];
    this.select({ filters: { ...filters, label } });
  }

  /** Go to an address of the app, as by a link. */
  go(address: string): void {
    const there = new URL(address, document.baseURI);
    if (there.href !== location.href) history.pushState(null, "", there);
    if (this.#arrive()) scrollTo(0, 0);
    remember(usualOf(this.selection));
  }

  async signOut(): Promise<void> {
    try {
      await logOut();
    } catch (error) {
      if (!(error instanceof HubError && error.status === 401))
        return void (this.notices = ["Not signed out: the hub does not answer."]);
    }
    this.ended = false;
    this.#leave();
  }

  /** At another address; true where that is another page. What is shown is asked at once, whatever is still under way. */
  #arrive(): boolean {
    const before = this.place;
    this.#readAddress();
    const elsewhere = before?.page !== this.place?.page || before?.id !== this.place?.id;
    // Another page asks for itself when it is there
    if (elsewhere) this.#askTrust();
    else void this.#load(true);
    return elsewhere;
  }

  /** `usual`: what an address without a query stands for, when the reader comes. */
  #readAddress(usual: Read | null = null): void {
    this.place = placeHere();
    const hub = this.capabilities.data;
    if (!hub || !this.place) return;
    const read = usual && !location.search ? usual : readSelection(location.search);
    const wanted = { ...read.selection, ...choicesElsewhere(usual?.selection ?? this.selection, this.place.page) };
    const { selection, notices } = obeyCapabilities(wanted, hub, this.place.page);
    this.selection = selection;
    this.#turn++;
    this.notices = [...read.notices, ...notices];
    // An address is always the whole truth of what it shows
    history.replaceState(null, "", new URL(this.link(this.place), document.baseURI));
  }

  #followState(state: LiveState): void {
    this.live = state;
    if (state === "reconnecting" || state === "paused") this.#doubted = true;
    if (!this.ready) return;
    // The stream itself does not tell why it ended
    if (state === "reconnecting" || this.me.error) void this.me.load("me").then(() => this.#noticeSignedOut());
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
    this.#turn++;
    this.notices = notices;
    history.replaceState(null, "", new URL(this.link(this.place), document.baseURI));
    this.refresh();
  }

  async #load(usage: boolean): Promise<void> {
    clearTimeout(this.#retry);
    await Promise.all([this.#askTrust(), ...[...this.#loads].map((load) => load(usage))]);
    if (this.signedOut || !this.away) return;
    // The stream of events stays up where only the database is away
    this.#doubted = true;
    this.#usageChanged ||= usage;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => !document.hidden && this.refresh(), RETRY_MS);
  }

  #askTrust = (): Promise<void> => this.ask(this.trust, "trust", this.common());

  #noticeSignedOut(...others: Panel<unknown>[]): boolean {
    const asked = [this.me, this.capabilities, this.trust, ...others];
    if (!asked.some(({ error }) => error instanceof HubError && error.status === 401)) return false;
    if (this.signedOut) return true; // another answer said so before
    this.ended = this.#session > 1 || this.me.data !== null;
    this.#leave();
    return true;
  }

  #leave(): void {
    this.stop();
    this.signedOut = true;
    for (const panel of [this.me, this.trust, this.capabilities]) panel.clear();
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
