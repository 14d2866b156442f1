/** Which page an address shows. Paths are relative to the root of the app, which the hub says in `<base>`. */

export const PAGES = {
  overview: { path: "", title: "Overview" },
  sessions: { path: "sessions", title: "Sessions" },
  session: { path: "sessions/{id}", title: "Session" },
  quality: { path: "quality", title: "Data quality" },
  hosts: { path: "hosts", title: "Hosts" },
  host: { path: "hosts/{id}", title: "Host" },
} as const;
export type Page = keyof typeof PAGES;

/** `id`: of the one thing that a page is about, else null. */
export interface Place {
  page: Page;
  id: string | null;
}

const PARAMETER = "{id}";

/** Path below the root of the app, without a slash at its begin. */
export function pathOf({ page, id }: Place): string {
  return PAGES[page].path.replace(PARAMETER, encodeURIComponent(id ?? ""));
}

/** What a path below the root shows; null where there is no such page. */
export function placeOf(path: string): Place | null {
  const given = path.replace(/\/+$/, "").split("/");
  for (const page of Object.keys(PAGES) as Page[]) {
    const wanted = PAGES[page].path.split("/");
    const fits = wanted.length === given.length && wanted.every((part, at) => part === PARAMETER || part === given[at]);
    if (!fits) continue;
    const id = given[wanted.indexOf(PARAMETER)];
    if (id === "") continue;
    return { page, id: id === undefined ? null : decoded(id) };
  }
  return null;
}

/** What the address of the browser shows. */
export function placeHere(): Place | null {
  const root = new URL(document.baseURI).pathname;
  return location.pathname.startsWith(root) ? placeOf(location.pathname.slice(root.length)) : null;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone % is itself
  }
}
