import type { Values } from "./coerce";
import { suitableGranularity } from "./dates";
import type { Hub } from "./hub.svelte";
import { Panel } from "./panel.svelte";
import { mostSeries } from "./size";
import type { Activity, Breakdown, Hosts, Rejections, Sources, Summary } from "./types";

const MOST = ["1000"]; // rows of a list: as many as the hub gives at once

/** What the page of data quality asks, panel by panel. */
export class Quality {
  readonly summary = new Panel<Summary>();
  readonly harnesses = new Panel<Breakdown>();
  readonly models = new Panel<Breakdown>();
  readonly activity = new Panel<Activity>();
  readonly hosts = new Panel<Hosts>();
  readonly rejections = new Panel<Rejections>();
  readonly sources = new Panel<Sources>();

  constructor(readonly hub: Hub) {}

  async load(usage: boolean): Promise<void> {
    const common = this.hub.common();
    const machines = only(common, "host", "label");
    const { logs } = this.hub.selection;
    const asked = [
      this.hub.ask(this.summary, "analytics/summary", common),
      this.hub.ask(this.hosts, "hosts", machines),
      this.hub.ask(this.rejections, "rejections", { ...machines, limit: MOST }),
      this.hub.ask(this.sources, "sources", {
        ...only(common, "host", "label", "harness"),
        ...(logs === null ? {} : { state: [logs] }),
        limit: MOST,
      }),
    ];
    if (usage)
      asked.push(
        this.hub.ask(this.harnesses, "analytics/breakdown", { ...common, by: ["harness"] }),
        this.hub.ask(this.models, "analytics/breakdown", { ...common, by: ["model"] }),
        this.#loadActivity(common),
      );
    await Promise.all(asked);
  }

  /** The step needs the range, which for "everything" only the hub knows. */
  async #loadActivity(common: Values): Promise<void> {
    const [from, to] = [common["from"]?.[0], common["to"]?.[0]];
    const { covered_by } = this.hub.selection;
    const known = from && to ? { from, to } : await this.#wholeRange();
    const step = known ? suitableGranularity(known.from, known.to) : "day";
    const series = mostSeries(this.hub.capabilities.data?.limits ?? {}, known, step);
    const group = covered_by === null ? {} : { group_by: [covered_by], series: [series] };
    await this.hub.ask(this.activity, "analytics/activity", { ...common, ...group, granularity: [step] });
  }

  async #wholeRange(): Promise<{ from: string; to: string } | null> {
    await this.summary.settled;
    const { from, to } = this.summary.data ?? {};
    return from && to ? { from, to } : null;
  }
}

/** Of what all panels ask, what a list of machines takes. */
const only = (values: Values, ...names: string[]): Values =>
  Object.fromEntries(names.flatMap((name) => (values[name] ? [[name, values[name]]] : [])));
