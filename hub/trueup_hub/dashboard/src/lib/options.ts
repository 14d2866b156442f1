/** Lists to choose from, of any length. */

export interface Option {
  value: string;
  name: string;
  note?: string; // what helps to choose: how much there is of it
}

/** Those with every word of `search` in their name; what is chosen first while nothing is searched for. */
export function matching(options: Option[], search: string, first: ReadonlySet<string>): Option[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0)
    return [...options.filter(({ value }) => first.has(value)), ...options.filter(({ value }) => !first.has(value))];
  return options.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
}

/** Where a key leads in a list; null for a key that does not move. */
export function moved(key: string, at: number, count: number, page: number): number | null {
  if (count === 0) return null;
  const within = (index: number) => Math.min(Math.max(index, 0), count - 1);
  switch (key) {
    case "ArrowDown":
      return (at + 1) % count;
    case "ArrowUp":
      return (at - 1 + count) % count;
    case "PageDown":
      return within(at + page);
    case "PageUp":
      return within(at - page);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}
