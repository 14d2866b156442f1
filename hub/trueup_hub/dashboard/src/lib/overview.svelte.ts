import type { Hub } from "./hub.svelte";
import { periodBefore, type Period } from "./compare";
import { suitableGranularity } from "./dates";
import { Panel } from "./panel.svelte";
import { Colours } from "./series";
import { mostSeries } from "./size";
import type { Values } from "./coerce";
import type { Activity, Breakdown, Heatmap, HourOfWeek, Summary, TopSessions } from "./types";

/** What the overview asks, panel by panel. */
export class Overview {
  readonly summary = new Panel<Summary>();
  readonly activity = new Panel<Activity>();
  readonly heatmap = new Panel<Heatmap>();
  readonly hours = new Panel<HourOfWeek>();
  readonly top = new Panel<TopSessions>();
  readonly breakdown = new Panel<Breakdown>();
  readonly harnesses = new Panel<Breakdown>();
  /** The same of the period before, while it is compared with. */
  readonly summaryBefore = new Panel<Summary>();
  readonly activityBefore = new Panel<Activity>();
  before = $state.raw<Period | null>(null);

  readonly #colours = new Map<string, Colours>();

  constructor(readonly hub: Hub) {}

  /** A value of a dimension has one colour in all drawings. */
  coloursOf(dimension: string): Colours {
    const found = this.#colours.get(dimension) ?? new Colours();
    this.#colours.set(dimension, found);
    return found;
  }

  async load(usage: boolean): Promise<void> {
    const common = this.hub.common();
    const asked = [this.hub.ask(this.summary, "analytics/summary", common), this.#loadSummaryBefore(common)];
    if (usage) asked.push(...this.#askAll(common));
    await Promise.all(asked);
  }

  #askAll(common: Values): Promise<void>[] {
    const { heatmap, hours, top, by } = this.hub.selection;
    return [
      this.#loadActivity(common),
      this.hub.ask(this.heatmap, "analytics/heatmap", { ...common, ...given({ metric: heatmap }) }),
      this.hub.ask(this.hours, "analytics/hour-of-week", { ...common, ...given({ metric: hours }) }),
      this.hub.ask(this.breakdown, "analytics/breakdown", { ...common, ...given({ by }) }),
      this.hub.ask(this.harnesses, "analytics/breakdown", { ...common, by: ["harness"] }),
      this.hub.ask(this.top, "analytics/top-sessions", { ...common, ...given({ metric: top, limit: "10" }) }),
    ];
  }

  /** The step needs the range, which for "everything" only the hub knows. */
  async #loadActivity(common: Values): Promise<void> {
    const { group_by, granularity } = this.hub.selection;
    const range = await this.#range(common);
    const step = granularity ?? (range ? suitableGranularity(range.from, range.to) : "day");
    const series = group_by && mostSeries(this.hub.capabilities.data?.limits ?? {}, range, step);
    const wanted = { ...common, ...given({ granularity: step }) };
    const before = this.#periodBefore(common, range);
    if (!before) this.activityBefore.clear();
    await Promise.all([
      this.hub.ask(this.activity, "analytics/activity", { ...wanted, ...given({ group_by, series }) }),
      before && this.hub.ask(this.activityBefore, "analytics/activity", { ...wanted, ...given({ ...before }) }),
    ]);
  }

  async #loadSummaryBefore(common: Values): Promise<void> {
    const before = this.#periodBefore(common, this.hub.selection.compare ? await this.#range(common) : null);
    this.before = before;
    if (before) await this.hub.ask(this.summaryBefore, "analytics/summary", { ...common, ...given({ ...before }) });
    else this.summaryBefore.clear();
  }

  /** Before everything there is no period, nor before the first day that the hub can be asked for. */
  #periodBefore(common: Values, range: Period | null): Period | null {
    if (!this.hub.selection.compare || !common["from"] || !range) return null;
    const before = periodBefore(range);
    const first = this.hub.capabilities.data?.days?.[0];
    return first !== undefined && before.from < first ? null : before;
  }

  async #range(common: Values): Promise<Period | null> {
    const [from, to] = [common["from"]?.[0], common["to"]?.[0]];
    if (from && to) return { from, to };
    await this.summary.settled;
    const { data } = this.summary;
    return data && { from: from ?? data.from, to: to ?? data.to };
  }
}

/** What is null is not asked. */
function given(values: Record<string, string | null>): Values {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [[name, [value]]])),
  );
}
