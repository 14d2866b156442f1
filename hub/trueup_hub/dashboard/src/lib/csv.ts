/** A list that comes page by page, as one table. */

const END = "\r\n";
const CURSOR = "# next_cursor: ";

export interface PageOfCsv {
  head: string;
  rows: string;
  about: string; // what the answer says beside its list
  next: string | null;
}

/** The lines from the first that begins with `#` on are not rows, but for one in the middle of a quoted cell. */
export function readPage(text: string): PageOfCsv {
  const lines = text.split(END);
  if (lines.at(-1) === "") lines.pop();
  let quotes = 0;
  const end = lines.findIndex((line) => {
    const inside = quotes % 2 === 1;
    quotes += line.split('"').length - 1;
    return !inside && line.startsWith("# ");
  });
  const last = end < 0 ? lines.length : end;
  const about = lines.slice(last);
  const cursor = about.find((line) => line.startsWith(CURSOR));
  const [head = "", ...rows] = lines.slice(0, last);
  return { head, rows: joined(rows), about: joined(about), next: cursor?.slice(CURSOR.length) || null };
}

const joined = (lines: string[]): string => lines.map((line) => line + END).join("");

/** One head, every row, and what the last page says of the whole. `fetchPage` throws where the hub does not answer. */
export async function wholeCsv(fetchPage: (cursor: string | null) => Promise<string>): Promise<string> {
  let page = readPage(await fetchPage(null));
  let text = page.head + END + page.rows;
  while (page.next !== null) {
    page = readPage(await fetchPage(page.next));
    text += page.rows;
  }
  return text + page.about;
}
