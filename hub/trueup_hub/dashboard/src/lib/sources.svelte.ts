import type { Hub } from "./hub.svelte";
import { Panel } from "./panel.svelte";
import { ofSources } from "./sources";
import type { Host, SourceReport, Sources } from "./types";

/** Logs of one host: those that the hub lists with it, what was lost first; of more, by harness and state, page by page. */
export class SourceList {
  harness = $state("");
  standing = $state("");
  readonly page = new Panel<Sources>();
  #before = $state.raw<SourceReport[]>([]);

  /** The host's own list is not all, so the hub must look. */
  asks = $derived.by(() => {
    const { sources, sources_total } = this.host();
    return sources_total > sources.length && (this.harness !== "" || this.standing !== "");
  });
  rows: SourceReport[] = $derived.by(() =>
    this.asks
      ? [...this.#before, ...(this.page.data?.sources ?? [])]
      : ofSources(this.host().sources, this.harness, this.standing),
  );
  total = $derived.by(() => (this.asks ? (this.page.data?.total ?? null) : this.rows.length));

  constructor(
    readonly hub: Hub,
    readonly host: () => Host,
  ) {}

  /** The first page, or the one after what is there. */
  async load(cursor: string | null = null): Promise<void> {
    const before = cursor === null ? [] : this.rows;
    const { harness, standing } = this;
    await this.hub.ask(this.page, "sources", {
      host: [this.host().host_id],
      ...(harness ? { harness: [harness] } : {}),
      ...(standing ? { state: [standing] } : {}),
      ...(cursor === null ? {} : { cursor: [cursor] }),
    });
    if (harness === this.harness && standing === this.standing) this.#before = before;
  }
}
