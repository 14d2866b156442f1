import type { Values } from "./coerce";
import type { Hub } from "./hub.svelte";
import { Paged } from "./paged.svelte";
import type { SessionItem, Sessions } from "./types";

const PAGE = 100;
const MOST = 500;

/** The list of sessions. It outlives its page, so that Back finds it as it was left. */
export class SessionList extends Paged<Sessions, SessionItem> {
  scrolled = $state(0);
  outdated = $state(false); // there may be newer usage than is shown

  constructor(hub: Hub) {
    super(
      hub,
      "sessions",
      PAGE,
      MOST,
      (page) => page.sessions,
      (session) => session.id,
    );
  }

  /** News are put in at once where that is one request; a long list waits until the reader asks. */
  async load(usage: boolean): Promise<void> {
    if (!usage) return;
    const { sort, order, quality, counter } = this.hub.selection;
    const wanted: Values = { ...this.hub.common() };
    for (const [name, value] of Object.entries({ sort, order, quality, counter }))
      if (value !== null) wanted[name] = [value];
    const question = { wanted };
    if (!this.answers(question)) this.scrolled = 0;
    else if (this.items.length > MOST && !this.error) {
      this.outdated = true;
      return;
    }
    this.outdated = false;
    await this.open(question);
  }

  async refresh(): Promise<void> {
    this.outdated = false;
    await this.reopen();
  }
}

const lists = new WeakMap<Hub, SessionList>();

export function sessionList(hub: Hub): SessionList {
  // A root of its own: what is derived in a list must not end with the page that first showed it
  if (!lists.has(hub)) $effect.root(() => void lists.set(hub, new SessionList(hub)));
  return lists.get(hub) as SessionList;
}
