import type { Hub } from "./hub.svelte";
import { Paged } from "./paged.svelte";
import type { Host, Source, SourceReport, Sources } from "./types";

const PAGE = 100;
const MOST = 1000;

/** Logs of one host: those that the hub lists with it, what was lost first; of more, by harness and state, page by page. */
export class SourceList {
  harness = $state("");
  standing = $state("");
  readonly asked: Paged<Sources, Source>;

  /** The host's own list is not all, so the hub must look. */
  asks = $derived.by(() => {
    const { sources, sources_total } = this.host();
    return sources_total > sources.length && (this.harness !== "" || this.standing !== "");
  });
  rows: SourceReport[] = $derived.by(() => (this.asks ? this.asked.items : this.host().sources.filter(this.#fits)));
  total = $derived.by(() => (this.asks ? (this.asked.first.data?.total ?? null) : this.rows.length));

  constructor(
    hub: Hub,
    readonly host: () => Host,
  ) {
    this.asked = new Paged(hub, "sources", PAGE, MOST, (page) => page.sources, keyOf);
  }

  async load(): Promise<void> {
    const wanted = {
      host: [this.host().host_id],
      ...(this.harness ? { harness: [this.harness] } : {}),
      ...(this.standing ? { state: [this.standing] } : {}),
    };
    if (this.asks) await this.asked.open({ wanted });
  }

  #fits = ({ harness, state }: SourceReport): boolean =>
    (!this.harness || harness === this.harness) && (!this.standing || state === this.standing);
}

export const keyOf = ({ ledger_id, source_key }: SourceReport): string => ledger_id + source_key;
