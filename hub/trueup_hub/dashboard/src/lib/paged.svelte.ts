import type { Values } from "./coerce";
import type { Hub } from "./hub.svelte";
import { wholeCsv } from "./csv";
import { save } from "./png";
import { Panel } from "./panel.svelte";

interface Page {
  next_cursor: string | null;
}

/** What is asked: `limit` and `cursor` are the list's own. */
export interface Question {
  wanted: Values;
  id?: string;
}

/** A list that the hub gives page by page. What is loaded stays in its place until the reader wants it anew. */
export class Paged<R extends Page, T> {
  readonly first = new Panel<R>();
  readonly further = new Panel<R>();
  items = $state.raw<T[]>([]);
  next = $state.raw<string | null>(null); // where the next page begins; null: there is none
  loading = $derived.by(() => this.first.loading || this.further.loading);
  error = $derived.by(() => this.first.error ?? this.further.error);
  unsaved = $state<string | null>(null); // why there is no table
  #question: Question = { wanted: {} };
  #asked = ""; // the question that `items` answer
  #turn = 0; // answers to an older turn are dropped
  #wanted = false; // one page more, which an opening has come in between
  #lastPage: { cursor: string | null; from: number } = { cursor: null, from: 0 };

  constructor(
    readonly hub: Hub,
    readonly endpoint: string,
    readonly size: number, // of the first page
    readonly most: number, // that a page can have
    readonly itemsOf: (page: R) => T[],
    readonly keyOf: (item: T) => string,
  ) {}

  /** Whether this is what is shown already. */
  answers(question: Question): boolean {
    return this.#asked === JSON.stringify(question);
  }

  /** Ask from the begin; as many as are there already where the question is still the same. */
  async open(question: Question): Promise<void> {
    const turn = ++this.#turn;
    const again = this.answers(question);
    const wanted = again ? this.items.length : 0;
    this.#wanted &&= again;
    this.#question = question;
    this.further.clear();
    await this.#ask(this.first, null, Math.min(Math.max(wanted, this.size), this.most));
    const page = this.first.data;
    if (turn !== this.#turn) return;
    if (!page || this.first.error) {
      if (!page) this.#put([], null, "");
      return;
    }
    let [items, next]: [T[], string | null] = [this.itemsOf(page), page.next_cursor];
    let last = { cursor: null as string | null, from: 0 };
    while (next !== null && items.length < wanted) {
      const cursor: string = next;
      const more = await this.#more(cursor, turn);
      if (!more) return; // what was shown before stays, and the panel says why
      last = { cursor, from: items.length };
      [items, next] = [this.#joined(items, more), more.next_cursor];
    }
    this.#put(items, next, JSON.stringify(question));
    this.#lastPage = last;
    if (this.#wanted) await this.extend();
  }

  /** The same again. */
  reopen(): Promise<void> {
    return this.open(this.#question);
  }

  /** One page more. */
  async extend(): Promise<void> {
    const cursor = this.next;
    this.#wanted = cursor !== null;
    if (cursor === null || this.loading) return;
    const turn = this.#turn;
    const page = await this.#more(cursor, turn);
    if (turn === this.#turn) this.#wanted = false;
    if (!page) return;
    const from = this.items.length;
    this.items = this.#joined(this.items, page);
    this.next = page.next_cursor;
    this.#lastPage = { cursor, from };
  }

  /** The last page again, where new items come at the end. */
  async follow(): Promise<void> {
    const { cursor, from } = this.#lastPage;
    if (cursor === null) return this.reopen();
    const page = await this.#more(cursor, this.#turn);
    if (!page) return;
    this.items = this.#joined(this.items.slice(0, from), page);
    this.next = page.next_cursor;
  }

  /** Everything as one table, loaded or not, of the hub as it is now. */
  async saveCsv(name: string): Promise<void> {
    const question = this.first.csv;
    if (question === null) return;
    this.unsaved = null;
    try {
      const text = await wholeCsv(async (cursor) => {
        const page = new URL(question, document.baseURI);
        page.searchParams.set("limit", String(this.most));
        if (cursor !== null) page.searchParams.set("cursor", cursor);
        const reply = await fetch(page);
        if (!reply.ok) throw new Error(`The hub answered ${reply.status}.`);
        return reply.text();
      });
      save(new Blob([text], { type: "text/csv" }), name);
    } catch (error) {
      this.unsaved = `The table could not be saved. ${error instanceof Error ? error.message : ""}`;
    }
  }

  async #more(cursor: string, turn: number): Promise<R | null> {
    await this.#ask(this.further, cursor, this.most);
    return turn === this.#turn && !this.further.error ? this.further.data : null;
  }

  async #ask(panel: Panel<R>, cursor: string | null, limit: number): Promise<void> {
    const own = { limit: [String(limit)], ...(cursor === null ? {} : { cursor: [cursor] }) };
    await this.hub.ask(panel, this.endpoint, { ...this.#question.wanted, ...own }, this.#question.id ?? null);
  }

  #put(items: T[], next: string | null, asked: string): void {
    this.items = items;
    this.next = next;
    this.#asked = asked;
  }

  /** Items that moved between two pages come twice: the first one stays. */
  #joined(items: T[], page: R): T[] {
    const known = new Set(items.map(this.keyOf));
    return [...items, ...this.itemsOf(page).filter((item) => !known.has(this.keyOf(item)))];
  }
}
