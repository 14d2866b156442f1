/** Keys of the whole page: single ones, so never while somebody writes, and the reader can do without. */

export type Deed = "keys" | "filters" | "back" | "forward" | "table" | "overview" | "sessions" | "hosts" | "quality";

export const KEYS: [string[], Deed, string][] = [
  [["g", "o"], "overview", "go to the overview"],
  [["g", "s"], "sessions", "go to sessions"],
  [["g", "h"], "hosts", "go to hosts"],
  [["g", "q"], "quality", "go to data quality"],
  [["f"], "filters", "filter: search, Enter to choose, ← → to the next filter"],
  [["/"], "filters", "the same"],
  [["["], "back", "the period before"],
  [["]"], "forward", "the period after"],
  [["t"], "table", "this panel as a table, or as a drawing again"],
  [["?"], "keys", "this list"],
];

const PAUSE_MS = 1_500;
const STORED = "trueup.keys";

interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  isComposing: boolean;
}

/** Reads keys one by one; null while they mean nothing, or not yet. */
export function reader(): (pressed: Pressed, now: number) => Deed | null {
  let before = "";
  let at = 0;
  return ({ key, ctrlKey, metaKey, altKey, isComposing }, now) => {
    const first = now - at < PAUSE_MS ? before : "";
    before = "";
    if (ctrlKey || metaKey || altKey || isComposing) return null;
    const found = KEYS.find(([keys]) => (first ? keys[0] === first && keys[1] === key : keys[0] === key));
    if (!found) return null;
    if (first || found[0].length === 1) return found[1];
    [before, at] = [key, now];
    return null;
  };
}

const FIELDS = "input, textarea, select, [contenteditable], [role=combobox], dialog";

/** Whether keys belong to what has the focus. (A field of a dialog that has just been closed may still have it.) */
export const isTyping = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest(FIELDS) !== null && target.checkVisibility();

export function keysWanted(): boolean {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    return true;
  }
}

export function wantKeys(wanted: boolean): void {
  try {
    if (wanted) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, "off");
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
}
