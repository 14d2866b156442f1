/** Colour scheme: the system's unless the reader chose one. */

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "trueup.theme";

export function savedTheme(): Theme {
  const saved = read();
  return THEMES.find((theme) => theme === saved) ?? "system";
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
}

/** Paper is white: while it is printed the page is light, what is painted on a canvas too. Returns what ends that. */
export function printLight(): () => void {
  const paper = matchMedia("print");
  const { dataset } = document.documentElement;
  let before: string | undefined | null = null; // null: not printing
  const begin = () => {
    if (before !== null) return;
    before = dataset.theme;
    dataset.theme = "light";
  };
  const end = () => {
    if (before === null) return;
    if (before === undefined) delete dataset.theme;
    else dataset.theme = before;
    before = null;
  };
  const follow = () => (paper.matches ? begin() : end());
  addEventListener("beforeprint", begin);
  addEventListener("afterprint", end);
  paper.addEventListener("change", follow);
  return () => {
    removeEventListener("beforeprint", begin);
    removeEventListener("afterprint", end);
    paper.removeEventListener("change", follow);
  };
}

/** Call `redraw` when the colours on the page change, by the system or by choice. Canvas does not follow by itself. */
export function onSchemeChange(redraw: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = new MutationObserver(redraw);
  system.addEventListener("change", redraw);
  chosen.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    system.removeEventListener("change", redraw);
    chosen.disconnect();
  };
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
