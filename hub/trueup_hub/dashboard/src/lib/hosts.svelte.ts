import type { HubError } from "./api";
import type { Values } from "./coerce";
import { harnessesFound, rowOf, type HostRow } from "./hosts";
import type { Hub } from "./hub.svelte";
import { Panel } from "./panel.svelte";
import type { HostReport, Hosts } from "./types";

/** What of the selection narrows hosts: what a machine is belongs to no range, model or project. */
export const NARROWING = ["host", "label"] as const;

/** Every host of the selection. */
export class HostList {
  readonly first = new Panel<Hosts>();
  /** Why the list ends before its end. */
  cut = $state.raw<HubError | null>(null);
  /** All pages of one answer, never of two. */
  all = $state.raw<HostReport[] | null>(null);
  #asked = 0;

  rows: HostRow[] = $derived.by(() => {
    const trust = new Map(this.hub.trust.data?.hosts.map((host) => [host.host_id, host]));
    const found = harnessesFound(this.hub.capabilities.data);
    return (this.all ?? []).map((host) => rowOf(host, trust.get(host.host_id), found.get(host.host_id) ?? []));
  });

  constructor(readonly hub: Hub) {}

  async load(): Promise<void> {
    const common = this.hub.common();
    const asked: Values = {};
    for (const name of NARROWING) if (common[name]) asked[name] = common[name];
    const question = ++this.#asked;
    await this.hub.ask(this.first, "hosts", asked);
    if (!this.first.data || question !== this.#asked) return;
    const { hosts, next_cursor } = this.first.data;
    const all = [...hosts];
    let cut: HubError | null = null;
    for (let cursor = next_cursor; cursor;) {
      const page = new Panel<Hosts>();
      await this.hub.ask(page, "hosts", { ...asked, cursor: [cursor] });
      if (question !== this.#asked) return;
      cut = page.error;
      all.push(...(page.data?.hosts ?? []));
      cursor = page.data?.next_cursor ?? null;
    }
    this.cut = cut;
    this.all = all;
  }
}
