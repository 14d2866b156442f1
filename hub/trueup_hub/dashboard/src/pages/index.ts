/** Each page is loaded when it is first shown, so that the first one is there soon. */

import type { Component } from "svelte";
import type { Hub } from "../lib/hub.svelte";
import type { Page } from "../lib/router";

/** `id`: "" for pages that are about no single thing. */
type Shown = Component<{ hub: Hub; id: string }>;

const FILES: Record<Page, () => Promise<{ default: Shown }>> = {
  overview: () => import("./Overview.svelte"),
  sessions: () => import("./Sessions.svelte"),
  session: () => import("./Session.svelte"),
  hosts: () => import("./Hosts.svelte"),
  host: () => import("./Host.svelte"),
  quality: () => import("./Quality.svelte"),
};
const loaded = new Map<Page, Promise<Shown>>();

/** `_live`: where it failed, it is tried again when the hub is back. */
export function pageOf(page: Page, _live: unknown): Promise<Shown> {
  let found = loaded.get(page);
  if (!found) {
    found = FILES[page]().then((file) => file.default);
    found.catch(() => loaded.delete(page)); // once more, next time
    loaded.set(page, found);
  }
  return found;
}
