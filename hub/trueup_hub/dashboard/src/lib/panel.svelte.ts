import { address, get, HubError, type Query } from "./api";

/** One reply of the hub and how it stands. Old numbers stay while the same question is asked again, and only then. */
export class Panel<T> {
  data = $state.raw<T | null>(null);
  error = $state.raw<HubError | null>(null);
  loading = $state(false);
  settled: Promise<void> = Promise.resolve(); // when the newest question is answered
  turn = 0; // the newest selection that it was asked about
  #running: AbortController | null = null;
  #shown = ""; // the question that `data` answers
  #asked = $state.raw<{ path: string; query: Query } | null>(null);

  /** Where the hub has the same answer as a table, relative to the root of the app. */
  csv = $derived(this.#asked && address(`api/v1/${this.#asked.path}`, { ...this.#asked.query, format: "csv" }));

  async load(path: string, query: Query = {}): Promise<void> {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    const question = JSON.stringify([path, query]);
    this.#asked = { path, query };
    this.loading = true;
    try {
      const data = await get<T>(path, query, running.signal);
      if (running.signal.aborted) return;
      this.data = data;
      this.error = null;
      this.#shown = question;
    } catch (error) {
      if (running.signal.aborted) return;
      this.error =
        error instanceof HubError ? error : new HubError(0, "unreadable", "The hub's answer could not be read.");
      if (this.#shown !== question) this.data = null;
    } finally {
      if (this.#running === running) this.loading = false;
    }
  }

  /** The hub is away: what it said last to this very question stays. */
  miss(why: HubError | null, path: string, query: Query): void {
    this.error = why;
    if (this.#shown !== JSON.stringify([path, query])) this.data = null;
  }

  /** Nothing can be asked: say why. */
  async refuse(why: string): Promise<void> {
    this.clear();
    this.error = new HubError(404, "not_found", why);
  }

  clear(): void {
    this.#running?.abort();
    this.data = this.error = null;
    this.loading = false;
  }
}
