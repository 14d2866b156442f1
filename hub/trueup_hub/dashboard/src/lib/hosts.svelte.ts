import type { HubError } from "./api";
import { harnessesFound, rowOf, type HostRow } from "./hosts";
import type { Hub } from "./hub.svelte";
import { Panel } from "./panel.svelte";
import type { HostReport, Hosts, TrustReport } from "./types";

/** Every host there is, whatever else is selected: what a machine is belongs to no range. */
export class HostList {
  readonly first = new Panel<Hosts>();
  readonly trust = new Panel<TrustReport>(); // of all hosts
  /** Why the list ends before its end. */
  cut = $state.raw<HubError | null>(null);
  #rest = $state.raw<HostReport[]>([]);

  all = $derived([...(this.first.data?.hosts ?? []), ...this.#rest]);
  rows: HostRow[] = $derived.by(() => {
    const trust = new Map(this.trust.data?.hosts.map((host) => [host.host_id, host]));
    const found = harnessesFound(this.hub.capabilities.data);
    return this.all.map((host) => rowOf(host, trust.get(host.host_id), found.get(host.host_id) ?? []));
  });

  constructor(readonly hub: Hub) {}

  async load(): Promise<void> {
    await Promise.all([this.#loadAll(), this.hub.ask(this.trust, "trust", {})]);
  }

  async #loadAll(): Promise<void> {
    await this.hub.ask(this.first, "hosts", {});
    const rest: HostReport[] = [];
    let cut: HubError | null = null;
    for (let cursor = this.first.data?.next_cursor; cursor;) {
      const page = new Panel<Hosts>();
      await this.hub.ask(page, "hosts", { cursor: [cursor] });
      cut = page.error;
      rest.push(...(page.data?.hosts ?? []));
      cursor = page.data?.next_cursor;
    }
    this.cut = cut;
    if (!cut) this.#rest = rest;
  }
}
