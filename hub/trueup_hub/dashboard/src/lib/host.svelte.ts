import { liveLedgers } from "./hosts";
import type { Hub } from "./hub.svelte";
import { Panel } from "./panel.svelte";
import type { DirectiveStatus, Host } from "./types";

const FOLLOW_MS = 4_000; // where no event comes: a hint may be lost

export const isUnderWay = ({ state }: DirectiveStatus): boolean => state === "open" || state === "running";

/** One host: all that the hub knows of it. */
export class HostDetail {
  readonly panel = new Panel<Host>();
  /** Something of it moves: its agent carries something out, or its rows are being removed. */
  moving = $derived.by(() => {
    const host = this.panel.data;
    return host !== null && (host.forgotten_at !== null || host.directives.some(isUnderWay));
  });
  /** Rows of it that the hub still has. */
  rows = $derived(
    (this.panel.data ? liveLedgers(this.panel.data) : []).reduce(
      (sum, { sessions, messages, events }) => sum + sessions + messages + events,
      0,
    ),
  );

  constructor(
    readonly hub: Hub,
    readonly id: string,
  ) {}

  async load(): Promise<void> {
    if (this.panel.error?.status === 404) return; // ids do not come back
    await this.hub.ask(this.panel, "hosts/{host_id}", {}, this.id);
  }

  /** Look again now and then while something moves. Returns what ends that. */
  follow(): () => void {
    const again = setInterval(() => !document.hidden && void this.load(), FOLLOW_MS);
    return () => clearInterval(again);
  }
}
