import type { Hub } from "./hub.svelte";
import { suitableGranularity } from "./dates";
import { Panel } from "./panel.svelte";
import { mostSeries } from "./size";
import type { Values } from "./coerce";
import type { Activity, Breakdown, Heatmap, Hosts, Summary, TopSessions } from "./types";

/** What the overview asks, panel by panel. */
export class Overview {
  readonly summary = new Panel<Summary>();
  readonly activity = new Panel<Activity>();
  readonly heatmap = new Panel<Heatmap>();
  readonly top = new Panel<TopSessions>();
  readonly breakdown = new Panel<Breakdown>();
  readonly hosts = new Panel<Hosts>();

  constructor(readonly hub: Hub) {}

  async load(usage: boolean): Promise<void> {
    const { heatmap, top, by } = this.hub.selection;
    const common = this.hub.common();
    const asked = [this.hub.ask(this.hosts, "hosts", {}), this.hub.ask(this.summary, "analytics/summary", common)];
    if (usage)
      asked.push(
        this.hub.ask(this.heatmap, "analytics/heatmap", { ...common, ...given({ metric: heatmap }) }),
        this.hub.ask(this.top, "analytics/top-sessions", { ...common, ...given({ metric: top, limit: "10" }) }),
        this.hub.ask(this.breakdown, "analytics/breakdown", { ...common, ...given({ by }) }),
        this.#loadActivity(common),
      );
    await Promise.all(asked);
  }

  /** The step needs the range, which for "everything" only the hub knows. */
  async #loadActivity(common: Values): Promise<void> {
    const { group_by, granularity } = this.hub.selection;
    const [from, to] = [common["from"]?.[0], common["to"]?.[0]];
    const range = from && to ? { from, to } : await this.#wholeRange();
    const step = granularity ?? (range ? suitableGranularity(range.from, range.to) : "day");
    const series = group_by && mostSeries(this.hub.capabilities.data?.limits ?? {}, range, step);
    const wanted = { ...common, ...given({ group_by, series, granularity: step }) };
    await this.hub.ask(this.activity, "analytics/activity", wanted);
  }

  async #wholeRange(): Promise<{ from: string; to: string } | null> {
    await this.summary.settled;
    const { from, to } = this.summary.data ?? {};
    return from && to ? { from, to } : null;
  }
}

/** What is null is not asked. */
function given(values: Record<string, string | null>): Values {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [[name, [value]]])),
  );
}
